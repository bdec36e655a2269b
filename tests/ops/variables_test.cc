#include "ops/variables.h"

#include <gtest/gtest.h>

#include "ops/evaluate.h"

namespace tenon {
namespace {

using namespace test;

constexpr DataType kFloat = DataType::kFloat32;

class Variables : public testing::Test {
 protected:
  Tensor handle(const std::string& name) {
    return evaluate(services_, "var_handle", {}, attrs({{"dtype", kFloat}, {"shared_name", name}}))[0];
  }
  std::vector<float> read(const Tensor& h) { return values<float>(evaluate(services_, "read_variable", {h}, attrs({{"dtype", kFloat}}))[0]); }
  MapServices services_;
};

TEST_F(Variables, TakeTheCheckpointsValue) {
  services_.checkpoint["v"] = vec<float>({1, 2});
  EXPECT_EQ(read(handle("v")), (std::vector<float>{1, 2}));
}

TEST_F(Variables, OfAnotherDtypeThanTheCheckpointAreRefused) {
  services_.checkpoint["v"] = vec<std::int32_t>({1});
  const Tensor h = handle("v");
  EXPECT_THROW(read(h), Error);
}

TEST_F(Variables, WithoutAValueCannotBeRead) {
  const Tensor h = handle("v");
  EXPECT_FALSE(evaluate(services_, "var_is_initialized", {h})[0].flat<bool>()[0]);
  EXPECT_THROW(read(h), Error);
  evaluate(services_, "assign_variable", {h, vec<float>({3})}, {}, 0);
  EXPECT_TRUE(evaluate(services_, "var_is_initialized", {h})[0].flat<bool>()[0]);
  EXPECT_EQ(read(h), (std::vector<float>{3}));
}

TEST_F(Variables, ReadersKeepWhatTheyRead) {
  services_.checkpoint["v"] = vec<float>({1, 2});
  const Tensor h = handle("v");
  const Tensor before = evaluate(services_, "read_variable", {h}, attrs({{"dtype", kFloat}}))[0];
  evaluate(services_, "assign_add_variable", {h, vec<float>({10, 20})}, {}, 0);
  EXPECT_EQ(values<float>(before), (std::vector<float>{1, 2}));
  EXPECT_EQ(read(h), (std::vector<float>{11, 22}));
  EXPECT_EQ(values<float>(services_.checkpoint["v"]), (std::vector<float>{1, 2}));
}

TEST_F(Variables, AreGatheredFrom) {
  services_.checkpoint["v"] = vec<float>({1, 2, 3, 4, 5, 6}).reshaped({3, 2});
  const Tensor h = handle("v");
  const ir::Attrs a = attrs({{"dtype", kFloat}});
  EXPECT_EQ(values<float>(evaluate(services_, "resource_gather", {h, vec<std::int32_t>({2, 0})}, a)[0]), (std::vector<float>{5, 6, 1, 2}));
  EXPECT_THROW(evaluate(services_, "resource_gather", {h, vec<std::int32_t>({3})}, a), Error);
  EXPECT_THROW(evaluate(services_, "resource_gather", {h, vec<std::int32_t>({-1})}, a), Error);
  const Tensor points = vec<std::int64_t>({1, 1, 2, 0}).reshaped({2, 2});
  EXPECT_EQ(values<float>(evaluate(services_, "resource_gather_nd", {h, points}, a)[0]), (std::vector<float>{4, 5}));
}

TEST_F(Variables, AreScatteredInto) {
  services_.checkpoint["v"] = vec<float>({1, 2, 3, 4}).reshaped({2, 2});
  const Tensor h = handle("v");
  evaluate(services_, "resource_scatter_add", {h, vec<std::int32_t>({1, 1}), vec<float>({1, 2, 10, 20}).reshaped({2, 2})}, {}, 0);
  EXPECT_EQ(read(h), (std::vector<float>{1, 2, 14, 26}));
  evaluate(services_, "resource_scatter_update", {h, vec<std::int32_t>({0}), Tensor::scalar(9.0f)}, {}, 0);
  EXPECT_EQ(read(h), (std::vector<float>{9, 9, 14, 26}));
  EXPECT_THROW(evaluate(services_, "resource_scatter_sub", {h, vec<std::int32_t>({0, 2}), Tensor::scalar(1.0f)}, {}, 0), Error);
  EXPECT_EQ(read(h), (std::vector<float>{9, 9, 14, 26}));  // nothing was changed by the one that was refused
}

// v = VariableV2; read = Identity(v); a = Assign(v, x); after = Identity(v)
TEST(RefVariables, AreFoundThroughTheirEdges) {
  ir::Graph graph;
  ir::Node* v = graph.add(ops::op("ref_variable"), "v", {}, attrs({{"dtype", kFloat}, {"shape", Shape{1}}}));
  v->outputs[0] = {kFloat, Shape{1}};
  ir::Node* x = graph.add(ops::op("const"), "x", {}, attrs({{"value", vec<float>({5})}}));
  ir::Node* through = graph.add(ops::op("identity"), "through", {v->output()});
  ir::Node* assign = graph.add(ops::op("assign_ref"), "assign", {through->output(), x->output()});
  ir::Node* after = graph.add(ops::op("identity"), "after", {v->output()});
  ops::bind_ref_variables(graph);
  EXPECT_EQ(assign->attr<std::string>("_variable"), "v");
  EXPECT_TRUE(after->is("read_ref_variable"));
  MapServices services;
  const auto run = [&](ir::Node* node, std::vector<Tensor> inputs) {
    std::vector<Tensor> results(1);
    ir::EvalContext ctx(*node, inputs, results, &services, nullptr);
    node->op->evaluate(ctx);
    return results[0];
  };
  const Tensor unset = run(v, {});
  EXPECT_THROW(run(after, {unset}), Error);
  run(assign, {unset, vec<float>({5})});
  EXPECT_EQ(values<float>(run(after, {unset})), (std::vector<float>{5}));
  EXPECT_EQ(values<float>(run(v, {})), (std::vector<float>{5}));
}

// read = Identity(v); a = AssignAdd(v, x); late = Neg(read) after a; early = Neg(read)
TEST(RefVariables, AreReadAgainByWhatRunsAfterAChange) {
  ir::Graph graph;
  ir::Node* v = graph.add(ops::op("ref_variable"), "v", {}, attrs({{"dtype", kFloat}, {"shape", Shape{1}}}));
  v->outputs[0] = {kFloat, Shape{1}};
  ir::Node* x = graph.add(ops::op("const"), "x", {}, attrs({{"value", vec<float>({5})}}));
  ir::Node* read = graph.add(ops::op("identity"), "read", {v->output()});
  ir::Node* change = graph.add(ops::op("assign_add_ref"), "change", {v->output(), x->output()});
  ir::Node* late = graph.add(ops::op("neg"), "late", {read->output()});
  late->control_inputs.push_back(change);
  ir::Node* early = graph.add(ops::op("neg"), "early", {read->output()});
  ir::Node* again = graph.add(ops::op("identity"), "again", {read->output()});
  again->control_inputs.push_back(change);
  ops::bind_ref_variables(graph);
  EXPECT_EQ(early->inputs[0].node, read);
  EXPECT_TRUE(again->is("read_ref_variable"));
  ASSERT_TRUE(late->inputs[0].node->is("read_ref_variable"));
  EXPECT_NE(late->inputs[0].node, read);
  EXPECT_EQ(late->inputs[0].node->control_inputs, std::vector<ir::Node*>{change});
}

TEST(RefVariables, MustBeThere) {
  ir::Graph graph;
  ir::Node* x = graph.add(ops::op("const"), "x", {}, attrs({{"value", vec<float>({5})}}));
  graph.add(ops::op("assign_ref"), "assign", {x->output(), x->output()});
  EXPECT_THROW(ops::bind_ref_variables(graph), Error);
}

}  // namespace
}  // namespace tenon
