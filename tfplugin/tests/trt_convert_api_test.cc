// ConvertAndBuild against TensorFlow itself: which engines the result has, and that it computes what the source computes.
#include "tenon_tensorflow/trt_convert_api.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/protobuf/saved_model.pb.h"
#include "tensorflow/core/public/session.h"

namespace tenon::tf {
namespace {

using tensorflow::FunctionDef;
using tensorflow::GraphDef;
using tensorflow::NodeDef;
using tensorflow::SavedModelBundle;
using tensorflow::Session;
using tensorflow::Tensor;
using tensorflow::TensorShape;

constexpr auto kFloat = tensorflow::DT_FLOAT;
constexpr auto kResource = tensorflow::DT_RESOURCE;

// Nodes of a graph or a function.
template <class Owner>
NodeDef& add(Owner& owner, const std::string& name, const std::string& op, const std::vector<std::string>& inputs = {}) {
  NodeDef* node;
  if constexpr (std::is_same_v<Owner, GraphDef>) {
    node = owner.add_node();
  } else {
    node = owner.add_node_def();
  }
  node->set_name(name);
  node->set_op(op);
  for (const std::string& input : inputs) node->add_input(input);
  return *node;
}

template <class T>
void set(NodeDef& node, const char* name, const T& value) {
  tensorflow::AddNodeAttr(name, value, &node);
}

template <class Owner>
void add_typed(Owner& owner, const std::string& name, const std::string& op, const std::vector<std::string>& inputs) {
  set(add(owner, name, op, inputs), "T", kFloat);
}

template <class Owner>
void add_constant(Owner& owner, const std::string& name, const Tensor& value) {
  NodeDef& node = add(owner, name, "Const");
  set(node, "dtype", value.dtype());
  set(node, "value", value);
}

Tensor numbers(const TensorShape& shape, float first) {
  Tensor tensor(kFloat, shape);
  for (int i = 0; i < tensor.NumElements(); ++i) tensor.flat<float>()(i) = first + 0.5f * static_cast<float>(i % 7);
  return tensor;
}

void add_placeholder(GraphDef& graph) {
  NodeDef& node = add(graph, "x", "Placeholder");
  set(node, "dtype", kFloat);
  set(node, "shape", tensorflow::PartialTensorShape({-1, 2}));
}

void add_variable(GraphDef& graph, const std::string& name, const Tensor& value) {
  NodeDef& handle = add(graph, name, "VarHandleOp");
  set(handle, "dtype", kFloat);
  set(handle, "shape", value.shape());
  set(handle, "shared_name", name);
  add_constant(graph, name + "/value", value);
  set(add(graph, name + "/assign", "AssignVariableOp", {name, name + "/value"}), "dtype", kFloat);
}

// relu(x v + x), at least three nodes, with outputs as graphs or as functions name them.
template <class Owner>
void add_network(Owner& owner, const std::string& weights, bool in_function) {
  add_typed(owner, "product", "MatMul", {"x", weights});
  add_typed(owner, "sum", "AddV2", {in_function ? "product:product:0" : "product", "x"});
  add_typed(owner, "result", "Relu", {in_function ? "sum:z:0" : "sum"});
}

void add_argument(FunctionDef& function, const std::string& name, tensorflow::DataType type) {
  auto* argument = function.mutable_signature()->add_input_arg();
  argument->set_name(name);
  argument->set_type(type);
}

void add_result(FunctionDef& function, const std::string& name, tensorflow::DataType type, const std::string& value) {
  auto* result = function.mutable_signature()->add_output_arg();
  result->set_name(name);
  result->set_type(type);
  (*function.mutable_ret())[name] = value;
}

void add_call(GraphDef& graph, const std::string& name, const std::string& function, const std::vector<std::string>& inputs,
              const std::vector<tensorflow::DataType>& types) {
  NodeDef& call = add(graph, name, "StatefulPartitionedCall", inputs);
  set(call, "Tin", types);
  set(call, "Tout", std::vector<tensorflow::DataType>{kFloat});
  tensorflow::NameAttrList list;
  list.set_name(function);
  set(call, "f", list);
}

// The graph of the tests: "x" [-1, 2] -> "output".
GraphDef make_graph(bool variable, bool function) {
  GraphDef graph;
  add_placeholder(graph);
  const Tensor weights = numbers({2, 2}, -1);
  if (variable) {
    add_variable(graph, "v", weights);
  } else {
    add_constant(graph, "v", weights);
  }
  if (function) {
    FunctionDef& body = *graph.mutable_library()->add_function();
    body.mutable_signature()->set_name("network");
    add_argument(body, "x", kFloat);
    add_argument(body, "v", variable ? kResource : kFloat);
    if (variable) set(add(body, "read", "ReadVariableOp", {"v"}), "dtype", kFloat);
    add_network(body, variable ? "read:value:0" : "v", true);
    add_result(body, "y", kFloat, "result:activations:0");
    add_call(graph, "call", "network", {"x", "v"}, {kFloat, variable ? kResource : kFloat});
  } else {
    if (variable) set(add(graph, "read", "ReadVariableOp", {"v"}), "dtype", kFloat);
    add_network(graph, variable ? "read" : "v", false);
  }
  add_typed(graph, "output", "Identity", {function ? "call" : "result"});
  return graph;
}

std::unique_ptr<Session> open(const GraphDef& graph, const std::vector<std::string>& initializers = {}) {
  std::unique_ptr<Session> session(tensorflow::NewSession(tensorflow::SessionOptions()));
  TF_CHECK_OK(session->Create(graph));
  if (!initializers.empty()) TF_CHECK_OK(session->Run({}, {}, initializers, nullptr));
  return session;
}

// A loaded model of one signature.
std::unique_ptr<SavedModelBundle> make_bundle(const GraphDef& graph, const std::vector<std::string>& initializers) {
  auto bundle = std::make_unique<SavedModelBundle>();
  bundle->session = open(graph, initializers);
  *bundle->meta_graph_def.mutable_graph_def() = graph;
  auto& signature = (*bundle->meta_graph_def.mutable_signature_def())["serving_default"];
  (*signature.mutable_inputs())["in"].set_name("x:0");
  (*signature.mutable_outputs())["out"].set_name("output:0");
  return bundle;
}

Tensor run(Session& session, const Tensor& x) {
  std::vector<Tensor> outputs;
  const absl::Status status = session.Run({{"x:0", x}}, {"output:0"}, {}, &outputs);
  EXPECT_TRUE(status.ok()) << status;
  return status.ok() ? outputs[0] : Tensor();
}

void expect_equal(const Tensor& found, const Tensor& wanted) {
  ASSERT_EQ(found.shape(), wanted.shape());
  for (int i = 0; i < wanted.NumElements(); ++i) {
    const float value = wanted.flat<float>()(i);
    ASSERT_NEAR(found.flat<float>()(i), value, 1e-5f * (1 + std::fabs(value)));
  }
}

std::vector<const NodeDef*> engines_of(const GraphDef& graph) {
  std::vector<const NodeDef*> engines;
  for (const NodeDef& node : graph.node()) {
    if (node.op() == "TRTEngineOp") engines.push_back(&node);
  }
  for (const FunctionDef& function : graph.library().function()) {
    for (const NodeDef& node : function.node_def()) {
      if (node.op() == "TRTEngineOp") engines.push_back(&node);
    }
  }
  return engines;
}

// While one exists, only engines may answer.
class EnginesOnly {
 public:
  EnginesOnly() { ::setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "false", 1); }
  ~EnginesOnly() { ::unsetenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION"); }
};

TfTrtConversionParams params_of(bool dynamic, bool is_static, ProfileStrategy strategy = ProfileStrategy::kOptimal) {
  TfTrtConversionParams params;
  params.use_dynamic_shape = dynamic;
  params.convert_to_static_engine = is_static;
  params.profile_strategy = strategy;
  return params;
}

const std::vector<std::vector<Tensor>>& two_sets() {
  static const auto* sets = new std::vector<std::vector<Tensor>>{{numbers({4, 2}, -2)}, {numbers({1, 2}, 1)}};
  return *sets;
}

struct Case {
  const char* name;
  bool dynamic, is_static;
};
const Case kCases[] = {{"DynamicStatic", true, true},
                       {"DynamicAtRunTime", true, false},
                       {"ImplicitStatic", false, true},
                       {"ImplicitAtRunTime", false, false}};

class ConvertAndBuildTest : public ::testing::TestWithParam<std::tuple<Case, bool, bool>> {};

TEST_P(ConvertAndBuildTest, OneEngineAnswersAsTensorFlowDoes) {
  const auto& [test, variable, function] = GetParam();
  const GraphDef graph = make_graph(variable, function);
  const std::vector<std::string> initializers = variable ? std::vector<std::string>{"v/assign"} : std::vector<std::string>{};
  const TfTrtConversionParams params = params_of(test.dynamic, test.is_static);
  absl::StatusOr<GraphDef> converted;
  if (variable) {
    const auto bundle = make_bundle(graph, initializers);
    converted = ConvertAndBuild(bundle.get(), "serving_default", two_sets(), params);
  } else {
    converted = ConvertAndBuild(graph, {"x"}, {"output"}, two_sets(), params);
  }
  ASSERT_TRUE(converted.ok()) << converted.status();

  const auto engines = engines_of(*converted);
  ASSERT_EQ(engines.size(), 1u);
  EXPECT_EQ(engines[0]->attr().at("static_engine").b(), test.is_static);
  EXPECT_EQ(engines[0]->attr().at("serialized_segment").s().empty(), !test.is_static);
  EXPECT_EQ(engines[0]->attr().at("profile_strategy").s(), test.dynamic ? "Optimal" : "");
  EXPECT_EQ(engines[0]->attr().at("_use_implicit_batch").b(), !test.dynamic);
  for (const NodeDef& node : converted->node()) EXPECT_NE(node.op(), "VarHandleOp");

  const auto original = open(graph, initializers), result = open(*converted);
  for (const auto& set : two_sets()) {
    // The profile that the first call made serves no other shape.
    const bool native = test.dynamic && !test.is_static && &set != &two_sets().front();
    const auto only = native ? nullptr : std::make_unique<EnginesOnly>();
    expect_equal(run(*result, set[0]), run(*original, set[0]));
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, ConvertAndBuildTest,
                         ::testing::Combine(::testing::ValuesIn(kCases), ::testing::Bool(), ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) +
                                  (std::get<1>(info.param) ? "Variable" : "Constant") +
                                  (std::get<2>(info.param) ? "Function" : "Flat");
                         });

TEST(ConvertAndBuild, HasTheDocumentedDefaults) {
  const TfTrtConversionParams params;
  EXPECT_EQ(params.max_workspace_size_bytes, std::numeric_limits<std::int64_t>::max() - 512);
  EXPECT_EQ(params.precision_mode, TrtPrecisionMode::FP32);
  EXPECT_EQ(params.minimum_segment_size, 3);
  EXPECT_EQ(params.max_cached_engines, 1);
  EXPECT_TRUE(params.use_calibration && params.use_dynamic_shape && params.allow_build_at_runtime &&
              params.convert_to_static_engine);
  EXPECT_EQ(params.profile_strategy, ProfileStrategy::kRange);
}

TEST(ConvertAndBuild, HonoursEveryParameter) {
  TfTrtConversionParams params = params_of(false, false);
  params.max_workspace_size_bytes = 12345;
  params.precision_mode = TrtPrecisionMode::INT8;
  params.use_calibration = false;
  params.max_cached_engines = 3;
  params.allow_build_at_runtime = false;
  const GraphDef graph = make_graph(false, false);
  const auto converted = ConvertAndBuild(graph, {"x:0"}, {"output:0"}, {}, params);
  ASSERT_TRUE(converted.ok()) << converted.status();
  ASSERT_EQ(engines_of(*converted).size(), 1u);
  const auto& attributes = engines_of(*converted)[0]->attr();
  EXPECT_EQ(attributes.at("workspace_size_bytes").i(), 12345);
  EXPECT_EQ(attributes.at("precision_mode").s(), "INT8");
  EXPECT_FALSE(attributes.at("use_calibration").b());
  EXPECT_EQ(attributes.at("max_cached_engines_count").i(), 3);
  EXPECT_FALSE(attributes.at("_allow_build_at_runtime").b());
  const auto original = open(graph), result = open(*converted);
  expect_equal(run(*result, two_sets()[0][0]), run(*original, two_sets()[0][0]));

  params.minimum_segment_size = 50;
  const auto unconverted = ConvertAndBuild(graph, {"x"}, {"output"}, {}, params);
  ASSERT_TRUE(unconverted.ok()) << unconverted.status();
  EXPECT_TRUE(engines_of(*unconverted).empty());
  expect_equal(run(*open(*unconverted), two_sets()[0][0]), run(*original, two_sets()[0][0]));
}

TEST(ConvertAndBuild, WritesEachStrategyByItsName) {
  const GraphDef graph = make_graph(false, false);
  for (const auto& [strategy, name] :
       {std::pair(ProfileStrategy::kRange, "Range"), std::pair(ProfileStrategy::kOptimal, "Optimal"),
        std::pair(ProfileStrategy::kRangeOptimal, "Range+Optimal"),
        std::pair(ProfileStrategy::kImplicitBatchModeCompatible, "ImplicitBatchModeCompatible")}) {
    const auto converted = ConvertAndBuild(graph, {"x"}, {"output"}, two_sets(), params_of(true, true, strategy));
    ASSERT_TRUE(converted.ok()) << converted.status();
    ASSERT_EQ(engines_of(*converted).size(), 1u);
    EXPECT_EQ(engines_of(*converted)[0]->attr().at("profile_strategy").s(), name);
    const auto original = open(graph), result = open(*converted);
    const EnginesOnly only;
    for (const auto& set : two_sets()) expect_equal(run(*result, set[0]), run(*original, set[0]));
  }
}

TEST(ConvertAndBuild, KeepsAsManyImplicitEnginesAsItMay) {
  const GraphDef graph = make_graph(false, false);
  const auto original = open(graph);
  for (const int cached : {1, 2}) {
    TfTrtConversionParams params = params_of(false, true);
    params.max_cached_engines = cached;
    params.allow_build_at_runtime = false;
    const std::vector<std::vector<Tensor>> growing{two_sets()[1], two_sets()[0]};  // batches 1, 4
    const auto converted = ConvertAndBuild(graph, {"x"}, {"output"}, growing, params);
    ASSERT_TRUE(converted.ok()) << converted.status();
    const auto result = open(*converted);
    const EnginesOnly only;
    for (const auto& set : growing) expect_equal(run(*result, set[0]), run(*original, set[0]));
  }
}

TEST(ConvertAndBuild, RangeProfilesServeWhatLiesBetweenTheSets) {
  TfTrtConversionParams params = params_of(true, true, ProfileStrategy::kRange);
  params.allow_build_at_runtime = false;
  const GraphDef graph = make_graph(false, true);
  const auto converted = ConvertAndBuild(graph, {"x"}, {"output"}, two_sets(), params);
  ASSERT_TRUE(converted.ok()) << converted.status();
  const auto original = open(graph), result = open(*converted);
  {
    const EnginesOnly only;
    for (const int batch : {1, 2, 3, 4})
      expect_equal(run(*result, numbers({batch, 2}, 0)), run(*original, numbers({batch, 2}, 0)));
    std::vector<Tensor> outputs;
    EXPECT_TRUE(absl::IsAborted(result->Run({{"x", numbers({5, 2}, 0)}}, {"output"}, {}, &outputs)));
  }
  expect_equal(run(*result, numbers({5, 2}, 0)), run(*original, numbers({5, 2}, 0)));
}

TEST(ConvertAndBuild, RefusesBadArguments) {
  const GraphDef graph = make_graph(false, false);
  TfTrtConversionParams params;
  const auto code = [&](const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                        const std::vector<std::vector<Tensor>>& sets) {
    return ConvertAndBuild(graph, inputs, outputs, sets, params).status().code();
  };
  EXPECT_EQ(code({"x"}, {"output"}, {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({"x"}, {"nobody"}, two_sets()), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({"nobody"}, {"output"}, two_sets()), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({"v"}, {"output"}, two_sets()), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({"x", "x"}, {"output"}, two_sets()), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({"x"}, {}, two_sets()), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({"x"}, {"output"}, {{numbers({3, 5}, 0)}}), absl::StatusCode::kInvalidArgument);
  params.max_cached_engines = 0;
  EXPECT_EQ(code({"x"}, {"output"}, two_sets()), absl::StatusCode::kInvalidArgument);
  params = {};
  params.precision_mode = TrtPrecisionMode::INT8;
  EXPECT_EQ(code({"x"}, {"output"}, two_sets()), absl::StatusCode::kInvalidArgument);
  params.use_calibration = false;
  EXPECT_EQ(code({"x"}, {"output"}, two_sets()), absl::StatusCode::kOk);
}

TEST(ConvertAndBuild, RefusesBundlesThatItCannotFreeze) {
  const TfTrtConversionParams params = params_of(true, false);
  EXPECT_EQ(ConvertAndBuild(nullptr, "serving_default", {}, params).status().code(), absl::StatusCode::kInvalidArgument);
  const GraphDef graph = make_graph(true, true);
  const auto bundle = make_bundle(graph, {"v/assign"});
  EXPECT_EQ(ConvertAndBuild(bundle.get(), "nobody", {}, params).status().code(), absl::StatusCode::kNotFound);
  const auto uninitialized = make_bundle(graph, {});
  EXPECT_EQ(ConvertAndBuild(uninitialized.get(), "serving_default", {}, params).status().code(),
            absl::StatusCode::kNotFound);

  GraphDef writing = make_graph(true, false);
  set(add(writing, "count", "AssignAddVariableOp", {"v", "v/value"}), "dtype", kFloat);
  for (NodeDef& node : *writing.mutable_node()) {
    if (node.name() == "read") node.add_input("^count");
  }
  const auto counter = make_bundle(writing, {"v/assign"});
  const absl::Status status = ConvertAndBuild(counter.get(), "serving_default", {}, params).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_NE(status.message().find("count"), std::string::npos);
}

TEST(ConvertAndBuild, TakesTheValuesThatVariablesHaveInTheSession) {
  GraphDef graph = make_graph(true, false);
  add_constant(graph, "other", numbers({2, 2}, 5));
  set(add(graph, "change", "AssignVariableOp", {"v", "other"}), "dtype", kFloat);
  const auto bundle = make_bundle(graph, {"v/assign"});
  TF_CHECK_OK(bundle->session->Run({}, {}, {"change"}, nullptr));
  const auto converted = ConvertAndBuild(bundle.get(), "serving_default", two_sets(), params_of(true, true));
  ASSERT_TRUE(converted.ok()) << converted.status();
  const EnginesOnly only;
  expect_equal(run(*open(*converted), two_sets()[0][0]), run(*bundle->session, two_sets()[0][0]));
}

// A loop that reads one variable and gathers from another: they reach its body as arguments.
TEST(ConvertAndBuild, FreezesVariablesOfLoops) {
  GraphDef graph;
  add_placeholder(graph);
  add_variable(graph, "v", numbers({2, 2}, -0.25f));
  add_variable(graph, "table", numbers({5, 2}, 1));
  Tensor zero(tensorflow::DT_INT32, {});
  zero.scalar<int>()() = 0;
  add_constant(graph, "zero", zero);
  const std::vector<tensorflow::DataType> types{tensorflow::DT_INT32, kFloat, kResource, kResource};

  FunctionDef& condition = *graph.mutable_library()->add_function();
  condition.mutable_signature()->set_name("condition");
  FunctionDef& body = *graph.mutable_library()->add_function();
  body.mutable_signature()->set_name("body");
  for (FunctionDef* function : {&condition, &body}) {
    add_argument(*function, "i", types[0]);
    add_argument(*function, "x", types[1]);
    add_argument(*function, "v", types[2]);
    add_argument(*function, "table", types[3]);
  }
  Tensor three = zero, one = zero;
  three = Tensor(3);
  one = Tensor(1);
  add_constant(condition, "three", three);
  set(add(condition, "less", "Less", {"i", "three:output:0"}), "T", tensorflow::DT_INT32);
  add_result(condition, "more", tensorflow::DT_BOOL, "less:z:0");
  add_constant(body, "one", one);
  set(add(body, "next", "AddV2", {"i", "one:output:0"}), "T", tensorflow::DT_INT32);
  set(add(body, "same", "Identity", {"v"}), "T", kResource);
  set(add(body, "read", "ReadVariableOp", {"same:output:0"}), "dtype", kFloat);
  NodeDef& gather = add(body, "row", "ResourceGather", {"table", "i"});
  set(gather, "dtype", kFloat);
  set(gather, "Tindices", tensorflow::DT_INT32);
  add_typed(body, "moved", "AddV2", {"x", "row:output:0"});
  add_typed(body, "product", "MatMul", {"moved:z:0", "read:value:0"});
  add_typed(body, "sum", "AddV2", {"product:product:0", "x"});
  add_typed(body, "result", "Relu", {"sum:z:0"});
  add_result(body, "i_out", types[0], "next:z:0");
  add_result(body, "x_out", types[1], "result:activations:0");
  add_result(body, "v_out", types[2], "same:output:0");
  add_result(body, "table_out", types[3], "table");

  NodeDef& loop = add(graph, "loop", "While", {"zero", "x", "v", "table"});
  set(loop, "T", types);
  tensorflow::NameAttrList function;
  function.set_name("condition");
  set(loop, "cond", function);
  function.set_name("body");
  set(loop, "body", function);
  set(loop, "output_shapes",
      std::vector<tensorflow::PartialTensorShape>{TensorShape(), {-1, 2}, TensorShape(), TensorShape()});
  add_typed(graph, "output", "Identity", {"loop:1"});

  const auto bundle = make_bundle(graph, {"v/assign", "table/assign"});
  const auto converted = ConvertAndBuild(bundle.get(), "serving_default", two_sets(), params_of(true, true));
  ASSERT_TRUE(converted.ok()) << converted.status();
  EXPECT_FALSE(engines_of(*converted).empty());
  const auto result = open(*converted);
  for (const auto& set : two_sets()) expect_equal(run(*result, set[0]), run(*bundle->session, set[0]));
}

// The network on what a table has for the integers "x".
GraphDef make_table_graph() {
  GraphDef graph;
  NodeDef& keys = add(graph, "x", "Placeholder");
  set(keys, "dtype", tensorflow::DT_INT64);
  set(keys, "shape", tensorflow::PartialTensorShape({-1, 2}));
  NodeDef& table = add(graph, "table", "HashTableV2");
  set(table, "key_dtype", tensorflow::DT_INT64);
  set(table, "value_dtype", kFloat);
  set(table, "shared_name", std::string("a table"));
  Tensor known(tensorflow::DT_INT64, {3});
  for (int i = 0; i < 3; ++i) known.flat<std::int64_t>()(i) = 10 * i;
  add_constant(graph, "known", known);
  add_constant(graph, "values", numbers({3}, 1));
  NodeDef& fill = add(graph, "fill", "InitializeTableV2", {"table", "known", "values"});
  set(fill, "Tkey", tensorflow::DT_INT64);
  set(fill, "Tval", kFloat);
  add(graph, "initialize", "NoOp", {"^fill"});
  add_constant(graph, "missing", Tensor(-1.0f));
  NodeDef& find = add(graph, "found", "LookupTableFindV2", {"table", "x", "missing"});
  set(find, "Tin", tensorflow::DT_INT64);
  set(find, "Tout", kFloat);
  add_constant(graph, "v", numbers({2, 2}, -1));
  add_typed(graph, "product", "MatMul", {"found", "v"});
  add_typed(graph, "sum", "AddV2", {"product", "found"});
  add_typed(graph, "result", "Relu", {"sum"});
  add_typed(graph, "output", "Identity", {"result"});
  return graph;
}

TEST(ConvertAndBuild, BuildsBehindTablesAndKeepsTheirInitializer) {
  const auto bundle = make_bundle(make_table_graph(), {"initialize"});
  (*(*bundle->meta_graph_def.mutable_signature_def())["__saved_model_init_op"].mutable_outputs())["__saved_model_init_op"]
      .set_name("initialize");
  Tensor keys(tensorflow::DT_INT64, {3, 2});
  for (int i = 0; i < 6; ++i) keys.flat<std::int64_t>()(i) = 5 * i;
  const auto converted = ConvertAndBuild(bundle.get(), "serving_default", {{keys}}, params_of(true, true));
  ASSERT_TRUE(converted.ok()) << converted.status();
  ASSERT_EQ(engines_of(*converted).size(), 1u);
  EXPECT_FALSE(engines_of(*converted)[0]->attr().at("serialized_segment").s().empty());
  const EnginesOnly only;
  expect_equal(run(*open(*converted, {"initialize"}), keys), run(*bundle->session, keys));
}

// Writes a SavedModel whose variable gets its value from the initializer, without a checkpoint.
std::string write_saved_model() {
  tensorflow::SavedModel model;
  model.set_saved_model_schema_version(1);
  tensorflow::MetaGraphDef& meta = *model.add_meta_graphs();
  meta.mutable_meta_info_def()->add_tags("serve");
  *meta.mutable_graph_def() = make_graph(true, true);
  add(*meta.mutable_graph_def(), "initialize", "NoOp", {"^v/assign"});
  auto& signatures = *meta.mutable_signature_def();
  (*signatures["__saved_model_init_op"].mutable_outputs())["__saved_model_init_op"].set_name("initialize");
  for (const auto& [key, name, put] : {std::tuple("in", "x:0", &tensorflow::SignatureDef::mutable_inputs),
                                       std::tuple("out", "output:0", &tensorflow::SignatureDef::mutable_outputs)}) {
    tensorflow::TensorInfo& info = (*(signatures["serving_default"].*put)())[key];
    info.set_name(name);
    info.set_dtype(kFloat);
    tensorflow::PartialTensorShape({-1, 2}).AsProto(info.mutable_tensor_shape());
  }
  const std::string folder = ::testing::TempDir() + "/convert_and_build_model";
  tensorflow::Env* env = tensorflow::Env::Default();
  TF_CHECK_OK(env->RecursivelyCreateDir(folder));
  TF_CHECK_OK(tensorflow::WriteBinaryProto(env, folder + "/saved_model.pb", model));
  return folder;
}

// 2 where the model leaves a size open.
Tensor made_up(const tensorflow::TensorInfo& info) {
  TensorShape shape;
  for (const auto& dim : info.tensor_shape().dim()) shape.AddDim(dim.size() < 0 ? 2 : dim.size());
  if (info.dtype() == kFloat) return numbers(shape, -1);
  Tensor tensor(info.dtype(), shape);
  if (info.dtype() == tensorflow::DT_STRING) return tensor;
  std::memset(tensor.data(), 1, tensor.TotalBytes());
  return tensor;
}

void expect_same(const Tensor& found, const Tensor& wanted) {
  ASSERT_EQ(found.dtype(), wanted.dtype());
  if (wanted.dtype() != kFloat) {
    EXPECT_EQ(found.DebugString(1 << 20), wanted.DebugString(1 << 20));
  } else {
    expect_equal(found, wanted);
  }
}

// What the loader does once, where the graph has something to do it with.
void initialize(Session& session, const GraphDef& graph, const SavedModelBundle& bundle, const std::string& folder) {
  const auto& signatures = bundle.meta_graph_def.signature_def();
  const auto found = signatures.find("__saved_model_init_op");
  if (found == signatures.end()) return;
  const std::string name = found->second.outputs().at("__saved_model_init_op").name();
  if (std::none_of(graph.node().begin(), graph.node().end(), [&](const NodeDef& node) { return node.name() == name; }))
    return;
  std::vector<std::pair<std::string, Tensor>> assets;
  for (const auto& asset : bundle.meta_graph_def.asset_file_def()) {
    assets.emplace_back(asset.tensor_info().name(), Tensor(tensorflow::tstring(folder + "/assets/" + asset.filename())));
  }
  TF_CHECK_OK(session.Run(assets, {}, {name}, nullptr));
}

// TENON_TEST_SAVED_MODEL names another model than the small one; at least TENON_TEST_ENGINES (1) engines have to answer.
TEST(ConvertAndBuild, ConvertsALoadedSavedModel) {
  const char* named = std::getenv("TENON_TEST_SAVED_MODEL");
  const std::string folder = named != nullptr ? named : write_saved_model();
  SavedModelBundle bundle;
  TF_CHECK_OK(tensorflow::LoadSavedModel({}, {}, folder, {"serve"}, &bundle));
  const auto& signature = bundle.GetSignatures().at("serving_default");
  const std::map<std::string, tensorflow::TensorInfo> inputs(signature.inputs().begin(), signature.inputs().end());
  std::vector<std::pair<std::string, Tensor>> feeds;
  std::vector<Tensor> set;
  for (const auto& [key, info] : inputs) feeds.emplace_back(info.name(), set.emplace_back(made_up(info)));
  std::vector<std::string> outputs;
  for (const auto& [key, info] : signature.outputs()) outputs.push_back(info.name());

  const auto converted = ConvertAndBuild(&bundle, "serving_default", {set}, params_of(true, true));
  ASSERT_TRUE(converted.ok()) << converted.status();
  const char* least = std::getenv("TENON_TEST_ENGINES");
  ASSERT_GE(engines_of(*converted).size(), least != nullptr ? std::strtoul(least, nullptr, 10) : 1u);
  std::vector<Tensor> wanted, found;
  TF_CHECK_OK(bundle.session->Run(feeds, outputs, {}, &wanted));
  const auto session = open(*converted);
  initialize(*session, *converted, bundle, folder);
  const EnginesOnly only;
  TF_CHECK_OK(session->Run(feeds, outputs, {}, &found));
  for (std::size_t i = 0; i < outputs.size(); ++i) expect_same(found[i], wanted[i]);
}

}  // namespace
}  // namespace tenon::tf
