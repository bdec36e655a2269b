// Which nodes may be in one engine whose first dimension is the batch (TF-TRT behaviour 2.5 and 2.6).
#include <gtest/gtest.h>

#include <set>

#include "backends/null/null_backend.h"
#include "import/graph_text.h"
#include "partition/partition.h"

namespace tenon {
namespace {

using namespace test;

// Runs every op but Exp.
class AnyOpBackend : public Backend {
 public:
  std::string_view name() const override { return "any"; }
  Capabilities capabilities() const override { return {}; }
  Verdict supports(std::span<const ir::Node* const> nodes, const Precision&) const override {
    return nodes[0]->origin.op_type == "Exp" ? Verdict::no("no Exp here") : Verdict::yes();
  }
  bool has_kernel(std::string_view) const override { return true; }
  plan::Engine compile(const Segment&, const CompileOptions&) override { return {}; }
  std::unique_ptr<Executable> load(const plan::Engine&, WeightsProvider&, const DeviceOptions&) override { return nullptr; }
};

std::string input(const std::string& name, const std::vector<int>& sizes, const std::string& dtype = "DT_FLOAT") {
  std::string shape;
  for (const int size : sizes) shape += " dim { size: " + std::to_string(size) + " }";
  return node(name, "Placeholder", {}, {type_attr("dtype", dtype), "key: 'shape' value { shape {" + shape + " } }"});
}

std::string op(const std::string& name, const std::string& type, const std::vector<std::string>& inputs) {
  return node(name, type, inputs, {kFloatT});
}

std::string numbers(const std::string& name, const std::vector<int>& sizes) {
  std::string shape;
  for (const int size : sizes) shape += " dim { size: " + std::to_string(size) + " }";
  return node(name, "Const", {}, {kFloatDtype, "key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape {" + shape + " } float_val: 1 } }"});
}

struct Divided {
  Imported model;
  partition::Partition partition;

  std::vector<std::set<std::string>> segments() const {
    std::vector<std::set<std::string>> result;
    for (const partition::SegmentPlan& plan : partition.segments) {
      result.emplace_back();
      for (const ir::Node* n : plan.nodes) result.back().insert(n->name);
    }
    return result;
  }
  std::string reason(const std::string& name) const {
    const auto it = partition.native_reasons.find(model.find(name));
    return it == partition.native_reasons.end() ? "" : it->second;
  }
};

using Segments = std::vector<std::set<std::string>>;

Divided divide(const std::string& text) {
  Divided result{import_text(text), {}};
  partition::PartitionOptions options;
  options.minimum_segment_size = 1;
  options.implicit_batch = true;
  result.partition = partition::partition(*result.model.module, AnyOpBackend(), options);
  return result;
}

TEST(Batch, InputsOfUnknownBatchesThatMeetAreInOneEngine) {
  const Divided made = divide(input("a", {-1, 3}) + input("b", {-1, 3}) + op("na", "Neg", {"a"}) + op("nb", "Abs", {"b"}) +
                              op("sum", "AddV2", {"na", "nb"}) + op("end", "Neg", {"sum"}));
  EXPECT_EQ(made.segments(), (Segments{{"na", "nb", "sum", "end"}}));
}

TEST(Batch, AChainOfInputsOfUnknownBatchesIsOneEngine) {
  const Divided made = divide(input("a", {-1, 3}) + input("b", {-1, 3}) + input("c", {-1, 3}) + op("ab", "Mul", {"a", "b"}) +
                              op("abc", "Sub", {"ab", "c"}) + op("end", "AddN", {"abc"}));
  EXPECT_EQ(made.segments().size(), 1u);
}

TEST(Batch, UnknownBatchesThatNothingJoinsStayApart) {
  const Divided made = divide(input("a", {-1, 4}) + node("to", "Const", {}, {type_attr("dtype", "DT_INT32"),
                              "key: 'value' value { tensor { dtype: DT_INT32 tensor_shape { dim { size: 2 } } int_val: -1 int_val: 2 } }"}) +
                              op("before", "Neg", {"a"}) + node("shaped", "Reshape", {"before", "to"}, {kFloatT, type_attr("Tshape", "DT_INT32")}) +
                              op("after", "Neg", {"shaped"}));
  EXPECT_EQ(made.segments().size(), 2u);
}

TEST(Batch, AnUnknownBatchAndAKnownOneAboveOneAreNotJoined) {
  const Divided made = divide(input("a", {-1, 2}) + numbers("c", {2, 2}) + op("sum", "AddV2", {"a", "c"}));
  EXPECT_EQ(made.segments(), Segments{});
  EXPECT_NE(made.reason("sum").find("different batches"), std::string::npos);
}

TEST(Batch, AKnownBatchOfOneIsRepeated) {
  const Divided made = divide(input("a", {-1, 2}) + numbers("c", {1, 2}) + op("sum", "AddV2", {"a", "c"}));
  EXPECT_EQ(made.segments(), (Segments{{"sum"}}));
}

TEST(Batch, ChainsOfDifferentKnownBatchesStayApart) {
  const Divided made = divide(input("a", {2, 3}) + input("b", {5, 3}) + op("na", "Neg", {"a"}) + op("nb", "Neg", {"b"}));
  EXPECT_EQ(made.segments(), (Segments{{"na"}, {"nb"}}));
}

TEST(Batch, OneDimensionIsTooFew) {
  const Divided made = divide(input("a", {-1}) + op("n", "Neg", {"a"}));
  EXPECT_EQ(made.segments(), Segments{});
  EXPECT_NE(made.reason("n").find("at least two dimensions"), std::string::npos);
}

TEST(Batch, AConstantAxisBeforeTheDataDecidesNothing) {
  const Divided made = divide(input("x", {-1, 8}) + constant_int("axis", 1) + node("parts", "Split", {"axis", "x"}, {kFloatT, int_attr("num_split", 2)}) +
                              op("sum", "AddV2", {"parts", "parts:1"}));
  EXPECT_EQ(made.segments(), (Segments{{"parts", "sum"}}));
}

TEST(Batch, OnesOfOneInputsSizesTimesAnotherInputAreInTheSameEngine) {
  const Divided made = divide(
      input("a", {-1, 3}) + input("b", {-1, 3}) + op("na", "Neg", {"a"}) + op("nb", "Neg", {"b"}) +
      node("sizes", "Shape", {"na"}, {kFloatT, type_attr("out_type", "DT_INT32")}) + constant("one", 1) +
      node("ones", "Fill", {"sizes", "one"}, {kFloatT, type_attr("index_type", "DT_INT32")}) + op("product", "Mul", {"ones", "nb"}) +
      op("end", "AddV2", {"product", "na"}));
  ASSERT_EQ(made.segments().size(), 1u) << made.reason("product");
  EXPECT_EQ(made.segments()[0].size(), 6u);
}

TEST(Batch, RowsOfAConstantTableHaveTheBatchOfTheirNumbers) {
  const Divided made = divide(input("ids", {-1, 3}, "DT_INT32") + numbers("table", {10, 4}) + constant_int("axis", 0) +
                              node("rows", "GatherV2", {"table", "ids", "axis"}, {type_attr("Tparams", "DT_FLOAT"), type_attr("Tindices", "DT_INT32"),
                                                                                 type_attr("Taxis", "DT_INT32")}) +
                              input("x", {-1, 3, 4}) + op("sum", "AddV2", {"rows", "x"}));
  EXPECT_EQ(made.segments(), (Segments{{"rows", "sum"}}));
}

std::string integers(const std::string& name, const std::vector<int>& values) {
  std::string text;
  for (const int value : values) text += " int_val: " + std::to_string(value);
  const std::string shape = "tensor_shape { dim { size: " + std::to_string(values.size()) + " } }";
  return node(name, "Const", {}, {type_attr("dtype", "DT_INT32"), "key: 'value' value { tensor { dtype: DT_INT32 " + shape + text + " } }"});
}

std::string on_sizes(const std::string& name, const std::string& type, const std::vector<std::string>& inputs) {
  return node(name, type, inputs, {kInt32T, type_attr("Tparams", "DT_INT32"), type_attr("Tindices", "DT_INT32"), type_attr("Taxis", "DT_INT32"),
                                   type_attr("Tidx", "DT_INT32"), int_attr("N", static_cast<int>(type == "ConcatV2" ? inputs.size() - 1 : inputs.size()))});
}

std::string shape_of(const std::string& name, const std::string& input) {
  return node(name, "Shape", {input}, {kFloatT, type_attr("out_type", "DT_INT32")});
}

std::string reshape(const std::string& name, const std::string& x, const std::string& sizes) {
  return node(name, "Reshape", {x, sizes}, {kFloatT, type_attr("Tshape", "DT_INT32")});
}

// What Keras makes of a dense layer on sequences: `x` becomes [batch * steps, 8], is multiplied, and gets its sizes back. The sizes are
// those of `like`.
std::string dense_on_sequences(const std::string& x, const std::string& like) {
  return integers("free", {0, 1}) + integers("all", {0}) + constant_int("axis", 0) + constant_int("eight", 8) + integers("four", {4}) +
         numbers("weights", {8, 4}) + shape_of("sizes", like) + on_sizes("kept", "GatherV2", {"sizes", "free", "axis"}) +
         on_sizes("rows", "Prod", {"kept", "all"}) + on_sizes("target", "Pack", {"rows", "eight"}) + reshape("flat", x, "target") +
         op("product", "MatMul", {"flat", "weights"}) + on_sizes("whole", "ConcatV2", {"kept", "four", "axis"}) + reshape("back", "product", "whole");
}

TEST(Batch, ADenseLayerOnSequencesIsOneEngineWithTheLayersAroundIt) {
  const Divided made = divide(input("x", {-1, -1, 8}) + op("before", "Neg", {"x"}) + dense_on_sequences("before", "before") + op("after", "Neg", {"back"}));
  ASSERT_EQ(made.segments().size(), 1u);
  EXPECT_TRUE(made.segments()[0].contains("before"));
  EXPECT_TRUE(made.segments()[0].contains("product"));
  EXPECT_TRUE(made.segments()[0].contains("after"));
  ASSERT_EQ(made.partition.segments[0].inputs.size(), 1u);
  EXPECT_EQ(made.partition.segments[0].inputs[0].node->name, "x");
}

TEST(Batch, SizesOfOneInputJoinItsBatchWithAnother) {
  const Divided made = divide(input("x", {-1, 8}) + input("y", {-1, 8}) + op("a", "Neg", {"x"}) + op("b", "Neg", {"y"}) + shape_of("sizes", "a") +
                              reshape("like", "b", "sizes") + op("end", "Neg", {"like"}));
  EXPECT_EQ(made.segments(), (Segments{{"a", "b", "sizes", "like", "end"}}));
}

std::string transpose(const std::string& name, const std::string& x) {
  return node(name, "Transpose", {x, "order"}, {kFloatT, type_attr("Tperm", "DT_INT32")});
}

TEST(Batch, ABatchThatIsMovedAwayAndBackIsOneEngine) {
  const std::string start = input("x", {-1, -1, 8}) + integers("order", {1, 0, 2}) + op("before", "Neg", {"x"}) + transpose("there", "before");
  const Divided made = divide(start + op("between", "Abs", {"there"}) + transpose("back", "between") + op("after", "Neg", {"back"}));
  EXPECT_EQ(made.segments(), (Segments{{"before", "there", "between", "back", "after"}}));
  const Divided joined = divide(start + input("y", {-1, -1, 8}) + op("sum", "AddV2", {"there", "y"}));
  EXPECT_EQ(joined.segments(), (Segments{{"before", "there"}}));  // an engine cannot have inputs [B,S,8] and [S,B,8]
  EXPECT_NE(joined.reason("sum").find("without having its batch"), std::string::npos);
}

TEST(Batch, SizesNeverEnterAnEngine) {
  const Divided made = divide(input("x", {-1, -1, 8}) + op("before", "Neg", {"x"}) + op("native", "Exp", {"before"}) + dense_on_sequences("native", "before"));
  EXPECT_NE(made.reason("flat").find("without having its batch"), std::string::npos);
  EXPECT_NE(made.reason("back").find("without having its batch"), std::string::npos);
  for (const partition::SegmentPlan& plan : made.partition.segments) {
    for (const ir::Value& value : plan.inputs) EXPECT_EQ(value.node->outputs[0].dtype, DataType::kFloat32) << value.node->name;
  }
}

TEST(Batch, ArithmeticOnSizesAloneIsNoEngine) {
  const Divided made = divide(input("x", {-1, 8}) + op("native", "Exp", {"x"}) + shape_of("sizes", "native") + on_sizes("twice", "AddV2", {"sizes", "sizes"}));
  EXPECT_EQ(made.segments(), Segments{});
  EXPECT_EQ(made.reason("twice"), "a segment of nothing but arithmetic on sizes");
}

TEST(Batch, WhatReadsAVectorFromOutsideStaysNative) {
  const Divided made = divide(input("x", {-1, 8}) + input("scale", {8}) + op("before", "Neg", {"x"}) + op("scaled", "Mul", {"before", "scale"}) + op("after", "Neg", {"scaled"}));
  EXPECT_EQ(made.segments(), (Segments{{"before"}, {"after"}}));
  EXPECT_NE(made.reason("scaled").find("without having its batch"), std::string::npos);
}

}  // namespace
}  // namespace tenon
