// Channels-first forms, many of which TensorFlow has no CPU kernel for: each must be the channels-last form, transposed.
#include <gtest/gtest.h>

#include "ops/evaluate.h"
#include "ops/walk.h"

namespace tenon::test {
namespace {

using Integers = std::vector<std::int64_t>;

Tensor counting(Shape shape) {
  Tensor tensor(DataType::kFloat32, std::move(shape));
  float value = 0;
  for (float& element : tensor.flat<float>()) element = 0.25f * static_cast<float>(static_cast<int>(value += 7) % 23 - 11);
  return tensor;
}

// The attribute's numbers, given for NHWC, in NCHW order.
Integers channels_first(const Integers& last) {
  Integers result{last[0], last.back()};
  result.insert(result.end(), last.begin() + 1, last.end() - 1);
  return result;
}

// Evaluates `op` in both formats; `images` are the operands that have a format.
void expect_same(const std::string& op, std::vector<Tensor> inputs, const std::vector<std::size_t>& images,
                 const std::vector<std::pair<std::string, Integers>>& lists, ir::Attrs rest) {
  const bool deep = inputs[images[0]].rank() == 5;
  ir::Attrs last = rest, first = rest;
  for (const auto& [name, values] : lists) {
    last.set(name, values);
    first.set(name, channels_first(values));
  }
  last.set("data_format", std::string(deep ? "NDHWC" : "NHWC"));
  first.set("data_format", std::string(deep ? "NCDHW" : "NCHW"));
  MapServices services;
  const Tensor want = evaluate(services, op, inputs, last)[0];
  for (std::size_t i : images) inputs[i] = ops::to_channels_first(inputs[i]);
  const Tensor got = ops::to_channels_last(evaluate(services, op, inputs, first)[0]);
  ASSERT_EQ(got.shape(), want.shape()) << op;
  EXPECT_TRUE(std::ranges::equal(got.flat<float>(), want.flat<float>())) << op;
}

TEST(DataFormat, ConvolutionsAgree) {
  const ir::Attrs same = attrs({{"padding", std::string("SAME")}});
  expect_same("conv2d", {counting({2, 5, 6, 4}), counting({3, 2, 2, 6})}, {0},
              {{"strides", {1, 2, 1, 1}}, {"dilations", {1, 1, 2, 1}}}, same);
  expect_same("depthwise_conv2d", {counting({2, 5, 6, 3}), counting({3, 2, 3, 2})}, {0}, {{"strides", {1, 2, 2, 1}}}, same);
  expect_same("conv3d", {counting({1, 4, 5, 3, 2}), counting({2, 2, 2, 2, 3})}, {0}, {{"strides", {1, 1, 2, 1, 1}}}, same);
}

TEST(DataFormat, TransposedConvolutionTakesSpatialSizesAlone) {
  Tensor sizes = vec<std::int32_t>({7, 9});
  expect_same("conv2d_backprop_input", {sizes, counting({3, 3, 2, 4}), counting({1, 4, 5, 4})}, {2},
              {{"strides", {1, 2, 2, 1}}}, attrs({{"padding", std::string("SAME")}}));
}

TEST(DataFormat, PoolsAgree) {
  for (const char* op : {"max_pool", "avg_pool"}) {
    for (const char* padding : {"SAME", "VALID"}) {
      expect_same(op, {counting({2, 5, 6, 3})}, {0}, {{"ksize", {1, 3, 2, 1}}, {"strides", {1, 2, 1, 1}}},
                  attrs({{"padding", std::string(padding)}}));
      expect_same(std::string(op) + "_3d", {counting({2, 5, 6, 4, 3})}, {0},
                  {{"ksize", {1, 3, 2, 2, 1}}, {"strides", {1, 2, 1, 2, 1}}}, attrs({{"padding", std::string(padding)}}));
    }
  }
}

TEST(DataFormat, BlocksOfSpaceAgree) {
  expect_same("space_to_depth", {counting({2, 4, 6, 3})}, {0}, {}, attrs({{"block_size", std::int64_t{2}}}));
  expect_same("depth_to_space", {counting({2, 2, 3, 12})}, {0}, {}, attrs({{"block_size", std::int64_t{2}}}));
}

TEST(Groups, OfAConvolutionAreIndependent) {
  const Tensor x = counting({1, 4, 4, 6}), filter = counting({3, 3, 2, 9});
  const ir::Attrs attributes = attrs({{"padding", std::string("SAME")}, {"strides", Integers{1, 1, 1, 1}}});
  MapServices services;
  const Tensor whole = evaluate(services, "conv2d", {x, filter}, attributes)[0];
  for (std::int64_t group = 0; group < 3; ++group) {
    const Integers in{2 * group, 2 * group + 1}, out{3 * group, 3 * group + 1, 3 * group + 2};
    const Tensor part = evaluate(services, "conv2d", {ops::take(x, 3, in), ops::take(filter, 3, out)}, attributes)[0];
    EXPECT_TRUE(std::ranges::equal(part.flat<float>(), ops::take(whole, 3, out).flat<float>()));
  }
}

}  // namespace
}  // namespace tenon::test
