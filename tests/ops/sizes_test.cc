// Sizes that go through integer arithmetic on their way from Shape to Reshape stay known.
#include "ops/sizes.h"

#include <gtest/gtest.h>

#include "ops/inference.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

class Sizes : public testing::Test {
 protected:
  ir::Node* parameter(PartialShape shape) {
    ir::Attrs attrs;
    attrs.set("dtype", DataType::kFloat32);
    attrs.set("shape", std::move(shape));
    return graph_.add(op("parameter"), "x", {}, std::move(attrs));
  }
  ir::Value constant(std::int32_t value) {
    ir::Attrs attrs;
    attrs.set("value", Tensor::scalar(value));
    return graph_.add(op("const"), "c", {}, std::move(attrs))->output();
  }
  ir::Value shape_of(ir::Value x) {
    ir::Attrs attrs;
    attrs.set("out_type", DataType::kInt32);
    return graph_.add(op("shape"), "shape", {x}, std::move(attrs))->output();
  }
  ir::Value apply(std::string_view name, std::vector<ir::Value> inputs, ir::Attrs attrs = {}) {
    return graph_.add(op(name), std::string(name), std::move(inputs), std::move(attrs))->output();
  }
  std::optional<std::vector<Dim>> dims(ir::Value value) {
    infer(graph_, facts_, {});
    return facts_.dims(value);
  }

  ir::Graph graph_;
  SymbolSource symbols_;
  Facts facts_{symbols_, {}};
};

TEST_F(Sizes, ArithmeticKeepsWhatIsKnown) {
  const Dim batch = symbols_.fresh();
  const ir::Value shape = shape_of(parameter({batch, 6, 8})->output());
  const auto same = dims(apply("mul", {shape, constant(1)}));
  EXPECT_EQ(*same, (std::vector<Dim>{batch, 6, 8}));
  const auto halved = dims(apply("floor_div", {shape, constant(2)}));
  ASSERT_TRUE(halved);
  EXPECT_FALSE((*halved)[0].known());
  EXPECT_NE((*halved)[0], batch);
  EXPECT_EQ((*halved)[1], Dim(3));
  EXPECT_EQ((*halved)[2], Dim(4));
}

TEST_F(Sizes, NegativeResultsAreNotSizes) { EXPECT_FALSE(dims(apply("sub", {shape_of(parameter({2, 3})->output()), constant(3)}))); }

TEST_F(Sizes, CastsPassSizesOn) {
  const Dim batch = symbols_.fresh();
  ir::Attrs attrs;
  attrs.set("DstT", DataType::kInt64);
  const auto wide = dims(apply("cast", {shape_of(parameter({batch, 3})->output())}, std::move(attrs)));
  EXPECT_EQ(*wide, (std::vector<Dim>{batch, 3}));
}

TEST_F(Sizes, ProductOfAShapeIsItsNumberOfElements) {
  const auto count = dims(apply("prod", {shape_of(parameter({2, 3, 4})->output()), constant(0)}));
  ASSERT_TRUE(count);
  EXPECT_EQ(count->at(0), Dim(24));
}

TEST_F(Sizes, RangesUpToASizeHaveIt) {
  const Dim batch = symbols_.fresh();
  ir::Node* const x = parameter({batch});
  ir::Attrs axes;
  const ir::Value count = apply("prod", {shape_of(x->output()), constant(0)}, std::move(axes));
  const ir::Value range = apply("range", {constant(0), count, constant(1)});
  infer(graph_, facts_, {});
  EXPECT_EQ(range.node->outputs[0].shape, PartialShape{batch});
}

}  // namespace
}  // namespace tenon::ops
