// A variable above 2 GB, in a file with holes instead of zeros.
#include <gtest/gtest.h>

#include <fstream>

#include "savedmodel/bundle_writer.h"
#include "savedmodel/temporary.h"
#include "tenon/session.h"

namespace tenon {
namespace {

constexpr const char* kModel = R"(saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: 'serve' }
  graph_def { versions { producer: 1000 }
    node { name: 'rows' op: 'Placeholder' attr { key: 'dtype' value { type: DT_INT64 } } attr { key: 'shape' value { shape { dim { size: -1 } } } } }
    node { name: 'big' op: 'VarHandleOp' attr { key: 'dtype' value { type: DT_FLOAT } } attr { key: 'shared_name' value { s: 'big' } }
           attr { key: 'shape' value { shape { dim { size: 1000000 } dim { size: 800 } } } } }
    node { name: 'y' op: 'ResourceGather' input: 'big' input: 'rows' attr { key: 'dtype' value { type: DT_FLOAT } }
           attr { key: 'Tindices' value { type: DT_INT64 } } }
    node { name: 'save/Const' op: 'Const' attr { key: 'dtype' value { type: DT_STRING } }
           attr { key: 'value' value { tensor { dtype: DT_STRING tensor_shape { } string_val: 'model' } } } }
    node { name: 'save/names' op: 'Const' attr { key: 'dtype' value { type: DT_STRING } }
           attr { key: 'value' value { tensor { dtype: DT_STRING tensor_shape { dim { size: 1 } } string_val: 'big' } } } }
    node { name: 'save/slices' op: 'Const' attr { key: 'dtype' value { type: DT_STRING } }
           attr { key: 'value' value { tensor { dtype: DT_STRING tensor_shape { dim { size: 1 } } string_val: '' } } } }
    node { name: 'save/RestoreV2' op: 'RestoreV2' input: 'save/Const' input: 'save/names' input: 'save/slices'
           attr { key: 'dtypes' value { list { type: DT_FLOAT } } } }
    node { name: 'save/Assign' op: 'AssignVariableOp' input: 'big' input: 'save/RestoreV2' attr { key: 'dtype' value { type: DT_FLOAT } } }
    node { name: 'save/restore_all' op: 'NoOp' input: '^save/Assign' } }
  saver_def { filename_tensor_name: 'save/Const:0' save_tensor_name: 'save/Const:0' restore_op_name: 'save/restore_all' version: V2 }
  signature_def { key: 'serving_default' value {
    inputs { key: 'rows' value { name: 'rows:0' dtype: DT_INT64 tensor_shape { dim { size: -1 } } } }
    outputs { key: 'y' value { name: 'y:0' dtype: DT_FLOAT tensor_shape { dim { size: -1 } dim { size: 800 } } } } } } })";

TEST(LargeVariables, AreGatheredFrom) {
  const testing::TemporaryFolder folder;
  std::filesystem::create_directories(folder / "variables");
  std::ofstream(folder / "saved_model.pbtxt") << kModel;
  saved::BundleWriter writer(folder / "variables/variables");
  writer.add_zeros("big", DataType::kFloat32, Shape{1'000'000, 800});  // 3.2 GB
  writer.finish();
  Session session = Session::open(folder.path().string());
  const std::vector<std::int64_t> rows = {0, 999'999, 700'000};
  const Tensor y = session.run({{"rows", Tensor::vector<std::int64_t>(rows)}}).at("y");
  EXPECT_EQ(y.shape(), (Shape{3, 800}));
  for (float value : y.flat<float>()) ASSERT_EQ(value, 0);
}

}  // namespace
}  // namespace tenon
