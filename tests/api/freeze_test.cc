// Variables become constants of the graph.
#include "api/freeze.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "savedmodel/temporary.h"
#include "tenon/conversion.h"
#include "tenon/session.h"

namespace tenon {
namespace {

const char* const kModel = TENON_SOURCE_DIR "/examples/digits/model";

importer::ImportOptions serving() {
  importer::ImportOptions options;
  options.signature_keys = {"serving_default"};
  return options;
}

int count(const api::OpenModel& model, std::string_view op_type) {
  const auto& nodes = model.module().main->nodes();
  return static_cast<int>(std::ranges::count_if(nodes, [&](const auto& node) { return node->origin.op_type == op_type; }));
}

TEST(Freeze, ReadsBecomeIdentitiesOfConstantsUnderTheirNames) {
  api::OpenModel model(kModel, {}, serving());
  std::vector<std::string> reads;
  for (const auto& node : model.module().main->nodes()) {
    if (node->origin.op_type == "ReadVariableOp") reads.push_back(node->name);
  }
  const api::Freezing freezing = api::freeze_variables(model, std::int64_t{1} << 30);
  EXPECT_GT(freezing.constants, 0);
  EXPECT_TRUE(freezing.self_contained);
  EXPECT_FALSE(freezing.too_large);
  int identities = 0;
  for (const std::string& name : reads) {
    const ir::Node* node = model.module().main->find(name);
    ASSERT_NE(node, nullptr) << name;
    if (node->origin.op_type != "Identity") continue;  // of the saver
    ++identities;
    ASSERT_TRUE(node->inputs.at(0).node->is("const"));
    const Tensor value = node->inputs[0].node->attr<Tensor>("value");
    EXPECT_EQ(value.dtype(), node->outputs.at(0).dtype);
  }
  EXPECT_GT(identities, 0);
}

TEST(Freeze, WhatIsTooLargeStaysAVariable) {
  api::OpenModel model(kModel, {}, serving());
  const int reads = count(model, "ReadVariableOp");
  const api::Freezing freezing = api::freeze_variables(model, 1);
  EXPECT_TRUE(freezing.too_large);
  EXPECT_FALSE(freezing.self_contained);
  EXPECT_EQ(freezing.constants, 0);
  EXPECT_EQ(count(model, "ReadVariableOp"), reads);
}

TEST(Freeze, AModelWithoutVariablesIsSelfContained) {
  const testing::TemporaryFolder folder;
  Conversion::open(kModel, {}).write(folder.path() / "frozen", {});
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "frozen" / "variables"));
  api::OpenModel model((folder.path() / "frozen").string(), {}, serving());
  const api::Freezing again = api::freeze_variables(model, std::int64_t{1} << 30);
  EXPECT_EQ(again.constants, 0);
  EXPECT_TRUE(again.self_contained);
}

TEST(Freeze, ConversionsThatShallNotFreezeKeepTheCheckpoint) {
  const testing::TemporaryFolder folder;
  ConversionOptions options;
  options.freeze = false;
  Conversion::open(kModel, options).write(folder.path() / "kept", {});
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "kept" / "variables" / "variables.index"));
}

}  // namespace
}  // namespace tenon
