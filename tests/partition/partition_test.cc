#include "partition/partition.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>
#include <set>

#include "backends/null/null_backend.h"
#include "import/graph_text.h"

namespace tenon {
namespace {

using namespace test;
using partition::Partition;
using partition::SegmentPlan;

// Runs every pure op but Exp.
class FakeBackend : public Backend {
 public:
  std::string_view name() const override { return "fake"; }
  Capabilities capabilities() const override { return {}; }
  Verdict supports(std::span<const ir::Node* const> nodes, const Precision&) const override {
    for (const ir::Node* n : nodes) {
      if (n->origin.op_type == "Exp") return Verdict::no("no Exp here");
    }
    return Verdict::yes();
  }
  bool has_kernel(std::string_view) const override { return true; }
  plan::Engine compile(const Segment&, const CompileOptions&) override { return {}; }
  std::unique_ptr<Executable> load(const plan::Engine&, WeightsProvider&, const DeviceOptions&) override { return nullptr; }
};

std::string unary(const std::string& name, const std::string& op, const std::vector<std::string>& inputs) { return node(name, op, inputs, {kFloatT}); }

Partition divide(const Imported& model, int minimum = 1, std::vector<std::string> denied = {}) {
  const FakeBackend backend;
  return partition::partition(*model.module, backend, {{}, minimum, std::move(denied)});
}

std::set<std::string> names(const SegmentPlan& plan) {
  std::set<std::string> result;
  for (const ir::Node* n : plan.nodes) result.insert(n->name);
  return result;
}

std::vector<std::set<std::string>> segments(const Partition& partition) {
  std::vector<std::set<std::string>> result;
  for (const SegmentPlan& plan : partition.segments) result.push_back(names(plan));
  return result;
}

std::string reason(const Partition& partition, const Imported& model, const std::string& name) {
  const auto it = partition.native_reasons.find(model.find(name));
  return it == partition.native_reasons.end() ? "" : it->second;
}

// Every needed node is in one segment, copied as a constant, or native with a reason; segments and native nodes form no cycle.
void check(const Partition& partition) {
  std::map<const ir::Node*, int> group;
  std::set<const ir::Node*> copied;
  int next = 0;
  for (const SegmentPlan& plan : partition.segments) {
    for (const ir::Node* n : plan.nodes) EXPECT_TRUE(group.emplace(n, next).second) << n->name;
    copied.insert(plan.constants.begin(), plan.constants.end());
    ++next;
  }
  for (const ir::Node* n : partition.needed) {
    if (group.contains(n)) {
      EXPECT_FALSE(partition.native_reasons.contains(n)) << n->name;
      continue;
    }
    group.emplace(n, next++);
    const auto why = partition.native_reasons.find(n);
    const bool explained = why != partition.native_reasons.end() && !why->second.empty();
    EXPECT_TRUE(explained || copied.contains(n) || n->is("const") || n->origin.op_type == "ReadVariableOp") << n->name << " has no reason";
  }
  std::map<int, std::set<int>> successors;
  std::map<int, int> pending;
  for (const ir::Node* n : partition.needed) {
    const auto edge = [&](const ir::Node* producer) {
      if (!group.contains(producer) || copied.contains(producer) || group[producer] == group[n]) return;
      if (successors[group[producer]].insert(group[n]).second) ++pending[group[n]];
    };
    for (const ir::Value& input : n->inputs) edge(input.node);
    for (const ir::Node* control : n->control_inputs) edge(control);
  }
  std::vector<int> ready;
  int done = 0;
  for (int g = 0; g < next; ++g) {
    if (pending[g] == 0) ready.push_back(g);
  }
  while (!ready.empty()) {
    const int g = ready.back();
    ready.pop_back();
    ++done;
    for (int s : successors[g]) {
      if (--pending[s] == 0) ready.push_back(s);
    }
  }
  EXPECT_EQ(done, next) << "the segments wait for each other";
}

TEST(Partition, TakesAConnectedPartAsOne) {
  const Imported model = import_text(placeholder("x") + unary("a", "Neg", {"x"}) + unary("b", "Abs", {"a"}) + unary("c", "Neg", {"b"}) + unary("d", "AddV2", {"c", "a"}));
  const Partition p = divide(model);
  check(p);
  EXPECT_EQ(segments(p), (std::vector<std::set<std::string>>{{"a", "b", "c", "d"}}));
  EXPECT_EQ(p.segments[0].name, "TRTEngineOp_000_000");
  ASSERT_EQ(p.segments[0].inputs.size(), 1u);
  EXPECT_EQ(p.segments[0].inputs[0].node->name, "x");
  ASSERT_EQ(p.segments[0].outputs.size(), 1u);
  EXPECT_EQ(p.segments[0].outputs[0].node->name, "d");
  EXPECT_EQ(reason(p, model, "x"), "input of a signature");
}

TEST(Partition, StaysConvexAroundANativeNode) {
  const Imported model = import_text(placeholder("x") + unary("a", "Neg", {"x"}) + unary("b", "Exp", {"a"}) + unary("c", "AddV2", {"a", "b"}));
  const Partition p = divide(model);
  check(p);
  EXPECT_EQ(segments(p), (std::vector<std::set<std::string>>{{"a"}, {"c"}}));
  EXPECT_EQ(reason(p, model, "b"), "no Exp here");
}

// The native node lies beside c, not between a and c: one segment, though c comes later than it.
TEST(Partition, JoinsWhatANativeNodeOnlySeemsToPart) {
  const Imported model = import_text(placeholder("x") + placeholder("z") + unary("p", "Neg", {"z"}) + unary("e", "Exp", {"p"}) + unary("a", "Neg", {"x"}) +
                                     unary("b", "Abs", {"a"}) + unary("c", "AddV2", {"b", "e"}));
  const Partition p = divide(model);
  check(p);
  EXPECT_EQ(segments(p), (std::vector<std::set<std::string>>{{"p"}, {"a", "b", "c"}}));
}

TEST(Partition, ControlEdgesNeverLetSegmentsWaitForEachOther) {
  const Imported model = import_text(placeholder("x") + placeholder("y") + unary("a", "Neg", {"x"}) + unary("b", "Neg", {"y", "^a"}) + unary("c", "Abs", {"b"}) +
                                     unary("d", "Abs", {"a", "^c"}));
  check(divide(model));
}

TEST(Partition, HonoursTheDenyList) {
  const Imported model = import_text(placeholder("x") + unary("a", "Neg", {"x"}) + unary("b", "Abs", {"a"}) + unary("c", "Neg", {"b"}));
  const Partition p = divide(model, 1, {"Abs"});
  check(p);
  EXPECT_EQ(segments(p), (std::vector<std::set<std::string>>{{"a"}, {"c"}}));
  EXPECT_NE(reason(p, model, "b").find("deny list"), std::string::npos);
}

TEST(Partition, LeavesSmallSegmentsNative) {
  const Imported model = import_text(placeholder("x") + unary("a", "Neg", {"x"}) + unary("i", "Identity", {"a"}) + unary("b", "Abs", {"i"}) + constant("k", 2) + unary("c", "Mul", {"b", "k"}));
  EXPECT_EQ(divide(model, 4).segments.size(), 1u);  // the constant counts, the identity does not
  const Partition p = divide(model, 5);
  check(p);
  EXPECT_TRUE(p.segments.empty());
  EXPECT_NE(reason(p, model, "a").find("minimum segment size 5"), std::string::npos);
  EXPECT_TRUE(divide(model, -1).segments.empty());
  EXPECT_NE(error_of([&] { divide(model, 0); }), "");
  EXPECT_NE(error_of([&] { divide(model, -2); }), "");
}

TEST(Partition, CopiesConstantsIntoEverySegment) {
  const Imported model = import_text(placeholder("x") + constant("k", 2) + unary("n", "Neg", {"k"}) + unary("a", "Mul", {"x", "n"}) + unary("b", "Exp", {"a"}) + unary("c", "Mul", {"b", "n"}));
  const Partition p = divide(model);
  check(p);
  ASSERT_EQ(p.segments.size(), 2u);
  for (const SegmentPlan& plan : p.segments) {
    ASSERT_EQ(plan.constants.size(), 2u);
    EXPECT_EQ(plan.constants[0]->name, "k");  // producers first
    EXPECT_EQ(plan.constants[1]->name, "n");
    EXPECT_EQ(plan.inputs.size(), 1u);
    EXPECT_EQ(partition::extract(plan).graph->parameters.size(), 1u);
  }
}

TEST(Partition, ALongChainOfConstantsIsCopied) {
  std::string nodes = placeholder("x") + constant("k0", 2);
  constexpr int kChain = 50'000;
  for (int i = 1; i <= kChain; ++i) nodes += unary("k" + std::to_string(i), "Neg", {"k" + std::to_string(i - 1)});
  const Imported model = import_text(nodes + unary("y", "Mul", {"x", "k" + std::to_string(kChain)}));
  const Partition p = divide(model);
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_EQ(p.segments[0].constants.size(), static_cast<std::size_t>(kChain) + 1);
}

std::string variable(const std::string& name) {
  return node(name, "VarHandleOp", {}, {kFloatDtype, "key: 'shape' value { shape { } }", string_attr("shared_name", name)}) +
         node(name + "_read", "ReadVariableOp", {name}, {kFloatDtype});
}

TEST(Partition, ReadsFrozenVariablesInside) {
  const Imported model = import_text(placeholder("x") + variable("v") + unary("y", "Mul", {"x", "v_read"}));
  const Partition p = divide(model);
  check(p);
  ASSERT_EQ(p.segments.size(), 1u);
  ASSERT_EQ(p.segments[0].inputs.size(), 2u);
  EXPECT_EQ(p.segments[0].inputs[1].node->name, "v");
  EXPECT_EQ(partition::extract(p.segments[0]).graph->parameters[1]->attr<std::string>("variable"), "v");
}

TEST(Partition, AssignedVariablesAreReadOutside) {
  const Imported model = import_text(placeholder("x") + variable("v") + node("set", "AssignAddVariableOp", {"v", "x"}, {kFloatDtype}) +
                                     unary("y", "Mul", {"x", "v_read"}) + unary("z", "Identity", {"y", "^set"}));
  const Partition p = divide(model);
  check(p);
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_EQ(names(p.segments[0]).count("v_read"), 0u);
  EXPECT_TRUE(p.segments[0].constants.empty());
  EXPECT_FALSE(partition::frozen_variables(*model.module).contains(model.find("v")));
}

// Through an IdentityN, each handle is its own variable's.
TEST(Partition, TellsHandlesApartBehindAnIdentity) {
  const Imported model = import_text(
      placeholder("x") + variable("v") + variable("w") + node("both", "IdentityN", {"v", "w"}, {types_attr("T", {"DT_RESOURCE", "DT_RESOURCE"})}) +
      node("read", "ReadVariableOp", {"both:1"}, {kFloatDtype}) + node("set", "AssignVariableOp", {"v", "x"}, {kFloatDtype}) +
      unary("y", "Mul", {"x", "read"}) + unary("z", "Identity", {"y", "^set"}));
  const auto frozen = partition::frozen_variables(*model.module);
  EXPECT_FALSE(frozen.contains(model.find("v")));
  EXPECT_TRUE(frozen.contains(model.find("w")));
  const Partition p = divide(model);
  check(p);
  ASSERT_EQ(p.segments.size(), 1u);
  ASSERT_EQ(p.segments[0].constants.size(), 1u);
  EXPECT_EQ(p.segments[0].constants[0]->name, "read");
  bool found = false;
  const Segment segment = partition::extract(p.segments[0]);
  for (const ir::Node* parameter : segment.graph->parameters) {
    if (parameter->attrs.has("variable")) {
      found = true;
      EXPECT_EQ(parameter->attr<std::string>("variable"), "w");
    }
  }
  EXPECT_TRUE(found);
}

TEST(Partition, WithoutABackendEverythingIsNativeWithAReason) {
  const Imported model = import_text(placeholder("x") + unary("a", "Neg", {"x"}) + unary("b", "Abs", {"a"}));
  const auto backend = make_null_backend();
  const Partition p = partition::partition(*model.module, *backend, {{}, 1, {}});
  check(p);
  EXPECT_TRUE(p.segments.empty());
}

TEST(Partition, NewEnginesTakeNamesThatAreFree) {
  const Imported model = import_text(placeholder("x") + unary("TRTEngineOp_000_000", "Neg", {"x"}));
  const Partition p = divide(model);
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_EQ(p.segments[0].name, "TRTEngineOp_000_001");
}

std::string random_graph(unsigned seed, int count) {
  std::mt19937 random(seed);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  std::string nodes = placeholder("n0");
  for (int i = 1; i < count; ++i) {
    const auto earlier = [&] { return "n" + std::to_string(std::max(0, i - 1 - below(8))); };
    std::vector<std::string> inputs = {earlier(), earlier()};
    if (below(4) == 0) inputs.push_back("^" + earlier());
    const int kind = below(5);
    if (kind == 0) {
      inputs.erase(inputs.begin());
      nodes += unary("n" + std::to_string(i), "Exp", inputs);
    } else {
      nodes += unary("n" + std::to_string(i), "AddV2", inputs);
    }
  }
  return nodes;
}

TEST(Partition, RandomGraphsAreDividedWithoutCyclesAndAlwaysAlike) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    const std::string text = random_graph(seed, 80);
    const Imported model = import_text(text);
    const Imported again = import_text(text);
    const Partition p = divide(model);
    check(p);
    const Partition q = divide(again);
    EXPECT_EQ(segments(p), segments(q)) << seed;
    for (std::size_t i = 0; i < p.segments.size(); ++i) {
      ASSERT_EQ(p.segments[i].inputs.size(), q.segments[i].inputs.size());
      for (std::size_t k = 0; k < p.segments[i].inputs.size(); ++k) {
        EXPECT_EQ(p.segments[i].inputs[k].node->name, q.segments[i].inputs[k].node->name);
      }
    }
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

// Alternating candidates and native nodes, each candidate also reading the one before.
TEST(Partition, LargeGraphsOfManySegmentsAreDividedInBoundedTime) {
  constexpr int kNodes = 100'000;
  std::string nodes = placeholder("n0") + unary("n1", "Exp", {"n0"});
  for (int i = 2; i < kNodes; ++i) {
    const std::string last = "n" + std::to_string(i - 1);
    nodes += i % 2 == 0 ? unary("n" + std::to_string(i), "AddV2", {last, "n" + std::to_string(i - 2)}) : unary("n" + std::to_string(i), "Exp", {last});
  }
  const Imported model = import_text(nodes);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(divide(model).segments.size(), static_cast<std::size_t>(kNodes / 2 - 1));
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 20);
}

}  // namespace
}  // namespace tenon
