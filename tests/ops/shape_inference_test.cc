// Symbols through ops that compute shapes.
#include <gtest/gtest.h>

#include "ops/inference.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

class ShapeInference : public testing::Test {
 protected:
  // A parameter whose sizes of -1 are fresh symbols.
  ir::Value parameter(std::vector<std::int64_t> sizes, DataType dtype = DataType::kFloat32) {
    PartialShape shape = symbols_.fresh_shape(static_cast<int>(sizes.size()));
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] >= 0) shape[static_cast<int>(i)] = sizes[i];
    }
    ir::Attrs attrs;
    attrs.set("dtype", dtype);
    attrs.set("shape", shape);
    return add("parameter", {}, std::move(attrs));
  }
  ir::Value constant(std::vector<std::int32_t> values) {
    ir::Attrs attrs;
    attrs.set("value", Tensor::vector<std::int32_t>(values));
    return add("const", {}, std::move(attrs));
  }
  ir::Value scalar(std::int32_t value) {
    ir::Attrs attrs;
    attrs.set("value", Tensor::scalar(value));
    return add("const", {}, std::move(attrs));
  }
  ir::Value add(std::string_view name, std::vector<ir::Value> inputs, ir::Attrs attrs = {}, int outputs = 1) {
    ir::Node* node = graph_.add(op(name), std::string(name), std::move(inputs), std::move(attrs), outputs);
    infer_node(*node, facts_, {});
    return node->output();
  }
  ir::Value sliced(ir::Value vector, int begin, int end, bool shrink) {
    ir::Attrs attrs;
    attrs.set("shrink_axis_mask", std::int64_t{shrink ? 1 : 0});
    return add("strided_slice", {vector, constant({begin}), constant({end}), constant({1})}, std::move(attrs));
  }
  static const PartialShape& shape(ir::Value value) {
    return value.node->outputs[static_cast<std::size_t>(value.index)].shape;
  }

  ir::Graph graph_;
  SymbolSource symbols_;
  Facts facts_{symbols_, {}};
};

TEST_F(ShapeInference, ReshapeSolvesForTheRest) {
  const ir::Value x = parameter({-1, 7, 7, 64});
  const Dim batch = shape(x)[0];
  EXPECT_EQ(shape(add("reshape", {x, constant({-1, 3136})})), (PartialShape{batch, 3136}));
  EXPECT_EQ(shape(add("reshape", {x, constant({-1, 49, 64})})), (PartialShape{batch, 49, 64}));
  EXPECT_FALSE(shape(add("reshape", {x, constant({-1})}))[0].known());
  EXPECT_EQ(shape(add("reshape", {parameter({6, 4}), constant({-1, 3})})), (PartialShape{8, 3}));
}

TEST_F(ShapeInference, ReshapeToPackedSizesAndMinusOne) {
  const ir::Value x = parameter({-1, 7, 7, 64});
  const ir::Value batch = sliced(add("shape", {x}), 0, 1, true);
  EXPECT_EQ(shape(add("reshape", {x, add("pack", {batch, scalar(-1)})})), (PartialShape{shape(x)[0], 3136}));
  EXPECT_EQ(shape(add("reshape", {x, add("pack", {batch, scalar(49), scalar(64)})})), (PartialShape{shape(x)[0], 49, 64}));
}

TEST_F(ShapeInference, HeadsOfAttentionKeepBatchAndLength) {
  const ir::Value x = parameter({-1, -1, 768});
  const Dim batch = shape(x)[0], length = shape(x)[1];
  const ir::Value sizes = add("shape", {x});
  const ir::Value heads = add("concat", {sliced(sizes, 0, 2, false), constant({12, 64}), scalar(0)});
  const ir::Value split = add("reshape", {x, heads});
  EXPECT_EQ(shape(split), (PartialShape{batch, length, 12, 64}));
  const ir::Value moved = add("transpose", {split, constant({0, 2, 1, 3})});
  EXPECT_EQ(shape(moved), (PartialShape{batch, 12, length, 64}));
  const ir::Value back = add("concat", {sliced(sizes, 0, 2, false), constant({-1}), scalar(0)});
  EXPECT_EQ(shape(add("reshape", {add("transpose", {moved, constant({0, 2, 1, 3})}), back})),
            (PartialShape{batch, length, 768}));
}

TEST_F(ShapeInference, SizesSurviveGatherSplitUnpackAndExpand) {
  const ir::Value x = parameter({-1, 3, -1});
  const ir::Value sizes = add("shape", {x});
  const ir::Value picked = add("gather", {sizes, constant({2, 0}), scalar(0)});
  EXPECT_EQ(shape(add("fill", {picked, scalar(1)})), (PartialShape{shape(x)[2], shape(x)[0]}));
  ir::Attrs three;
  three.set("num", std::int64_t{3});
  ir::Node* parts = add("unpack", {sizes}, std::move(three), 3).node;
  const ir::Value swapped = add("pack", {parts->output(2), parts->output(1)});
  EXPECT_EQ(shape(add("fill", {swapped, scalar(1)})), (PartialShape{shape(x)[2], 3}));
  const ir::Value row = add("expand_dims", {parts->output(0), scalar(0)});
  EXPECT_EQ(shape(add("broadcast_to", {scalar(1), add("concat", {row, constant({5}), scalar(0)})})),
            (PartialShape{shape(x)[0], 5}));
}

TEST_F(ShapeInference, WindowsKeepSymbolsThatTheyDoNotChange) {
  ir::Attrs attrs;
  attrs.set("strides", std::vector<std::int64_t>{1, 1, 1, 1});
  attrs.set("padding", std::string("SAME"));
  const ir::Value x = parameter({-1, -1, -1, 3});
  const ir::Value y = add("conv2d", {x, parameter({3, 3, 3, 8})}, attrs);
  EXPECT_EQ(shape(y), (PartialShape{shape(x)[0], shape(x)[1], shape(x)[2], 8}));
  attrs.set("strides", std::vector<std::int64_t>{1, 2, 2, 1});
  const ir::Value z = add("conv2d", {parameter({-1, 224, 224, 3}), parameter({7, 7, 3, 64})}, attrs);
  EXPECT_EQ(shape(z)[1], Dim(112));
  EXPECT_EQ(shape(z)[2], Dim(112));
}

TEST_F(ShapeInference, ComputedAxesGiveOnlyTheRank) {
  const ir::Value x = parameter({2, 3, 4});
  EXPECT_EQ(shape(add("transpose", {x, parameter({3}, DataType::kInt32)})).rank(), 3);
  EXPECT_EQ(shape(add("expand_dims", {x, parameter({}, DataType::kInt32)})).rank(), 4);
  EXPECT_EQ(shape(add("reshape", {x, parameter({2}, DataType::kInt32)})).rank(), 2);
  EXPECT_FALSE(shape(add("reshape", {x, parameter({-1}, DataType::kInt32)})).known_rank());
}

TEST_F(ShapeInference, RefusesWhatCannotBe) {
  EXPECT_THROW(add("concat", {parameter({2, 3}), parameter({3, 3}), scalar(1)}), Error);
  EXPECT_THROW(add("pack", {parameter({2}), parameter({3})}), Error);
  EXPECT_THROW(add("strided_slice", {parameter({2}), constant({0}), constant({1}), constant({0})}), Error);
  ir::Attrs attrs;
  attrs.set("strides", std::vector<std::int64_t>{1, 1, 1, 1});
  attrs.set("padding", std::string("SAME"));
  EXPECT_THROW(add("conv2d", {parameter({1, 5, 5, 3}), parameter({3, 3, 2, 8})}, attrs), Error);
}

}  // namespace
}  // namespace tenon::ops
