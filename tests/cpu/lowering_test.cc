// Every lowering against its op's reference kernel.
#include "cpu/engine_fixture.h"

namespace tenon::test {
namespace {

Tensor ints(std::vector<std::int32_t> values) { return Tensor::vector<std::int32_t>(values); }
Tensor scalar(std::int32_t value) { return Tensor::scalar(value); }

// One op on parameters of these shapes and constants after them; the batch is unknown while building.
struct Case {
  std::string op;
  std::vector<Shape> inputs;
  std::vector<Tensor> constants;
  ir::Attrs attributes;
  int outputs = 1;
  bool constants_first = false;
};

void check_case(const Case& c) {
  SCOPED_TRACE(c.op);
  for (const bool dynamic : {false, true}) {
    GraphBuilder b;
    SymbolSource symbols;
    std::vector<ir::Value> operands;
    std::vector<Tensor> feeds;
    for (const Shape& shape : c.inputs) {
      PartialShape type(shape);
      if (dynamic && shape.rank() > 0 && shape[0] > 1) type[0] = symbols.fresh();
      operands.push_back(b.parameter(DataType::kFloat32, type));
      feeds.push_back(random_tensor(shape, static_cast<unsigned>(feeds.size()) + 1, 2));
    }
    std::vector<ir::Value> constants;
    for (const Tensor& constant : c.constants) constants.push_back(b.constant(constant));
    operands.insert(c.constants_first ? operands.begin() : operands.end(), constants.begin(), constants.end());
    const ir::Value first = b.op(c.op, operands, c.attributes, c.outputs);
    std::vector<ir::Value> outputs;
    for (int i = 0; i < c.outputs; ++i) outputs.push_back({first.node, i});
    // Something behind it, so that results are not only outputs.
    outputs.push_back(b.op("identity", {first}));
    const auto graph = b.finish(outputs);
    check(*graph, feeds, 2e-5);
  }
}

TEST(Lowering, Arithmetic) {
  for (const char* op : {"neg", "abs", "square", "exp", "tanh", "sigmoid", "erf", "softplus", "relu", "relu6", "elu", "selu", "floor", "ceil",
                         "sign", "swish", "hard_swish", "softsign", "round", "sin", "cos", "atan"}) {
    check_case({op, {{3, 5, 7}}, {}, {}});
  }
  for (const char* op : {"add", "sub", "mul", "maximum", "minimum", "squared_difference"}) {
    check_case({op, {{3, 5, 7}, {3, 5, 7}}, {}, {}});
    check_case({op, {{3, 5, 7}, {7}}, {}, {}});
    check_case({op, {{5, 1}, {3, 1, 7}}, {}, {}});
    check_case({op, {{3, 4}}, {Tensor::scalar(2.5f)}, {}});
  }
  check_case({"leaky_relu", {{40}}, {}, attrs({{"alpha", 0.3f}})});
  check_case({"gelu", {{40}}, {}, attrs({{"approximate", true}})});
  check_case({"gelu", {{40}}, {}, attrs({{"approximate", false}})});
  check_case({"hard_sigmoid", {{40}}, {}, attrs({{"alpha", 0.2f}, {"beta", 0.5f}})});
  check_case({"clip_by_value", {{40}}, {Tensor::scalar(-0.5f), Tensor::scalar(0.75f)}, {}});
  check_case({"bias_add", {{2, 3, 4, 5}, {5}}, {}, {}});
  check_case({"bias_add", {{2, 3, 4, 5}, {3}}, {}, attrs({{"data_format", std::string("NCHW")}})});
  check_case({"channel_affine", {{2, 3, 5}}, {random_tensor({5}, 8), random_tensor({5}, 9)}, attrs({{"activation", std::string("relu")}})});
  check_case({"add_n", {{2, 3}, {2, 3}, {2, 3}}, {}, {}});
}

TEST(Lowering, Comparisons) {
  for (const char* op : {"less", "greater_equal", "equal"}) check_case({op, {{3, 5}, {3, 5}}, {}, {}});
}

TEST(Lowering, FusedChains) {
  const std::string program = "mul r2 r0 r1\nadd r3 r2 r0\nrelu r4 r3\nconst r5 0x1.8p+1\nsub r6 r4 r5\n";
  ir::Attrs a = attrs({{"program", program}, {"results", std::vector<std::int64_t>{6, 2}},
                       {"out_types", std::vector<DataType>{DataType::kFloat32, DataType::kFloat32}}});
  check_case({"elementwise", {{3, 5, 7}, {5, 1}}, {}, a, 2});
}

TEST(Lowering, Movement) {
  check_case({"slice", {{4, 5, 6}}, {ints({1, 0, 2}), ints({2, 5, 3})}, {}});
  check_case({"strided_slice", {{4, 5, 6}}, {ints({0, 1}), ints({4, 5}), ints({1, 2})}, attrs({{"shrink_axis_mask", std::int64_t{0}}})});
  check_case({"strided_slice", {{4, 5, 6}}, {ints({2}), ints({3}), ints({1})}, attrs({{"shrink_axis_mask", std::int64_t{1}}})});
  check_case({"strided_slice", {{4, 5, 6}}, {ints({3, 0}), ints({0, 0}), ints({-1, 1})}, attrs({{"new_axis_mask", std::int64_t{2}}})});
  check_case({"reverse", {{4, 5, 6}}, {ints({0, 2})}, {}});
  check_case({"split", {{4, 6}}, {scalar(1)}, attrs({{"num_split", std::int64_t{3}}}), 3, true});
  check_case({"split", {{1, 6}}, {scalar(1)}, attrs({{"num_split", std::int64_t{2}}}), 2, true});
  check_case({"split_v", {{4, 6}}, {ints({1, 2, 3}), scalar(1)}, attrs({{"num_split", std::int64_t{3}}}), 3});
  check_case({"unpack", {{1, 3, 5}}, {}, attrs({{"num", std::int64_t{3}}, {"axis", std::int64_t{1}}}), 3});
  check_case({"tile", {{2, 3}}, {ints({2, 3})}, {}});
  check_case({"broadcast_to", {{2, 1, 3}}, {ints({4, 2, 5, 3})}, {}});
  check_case({"transpose", {{2, 3, 4, 5}}, {ints({0, 2, 1, 3})}, {}});
  check_case({"transpose", {{2, 3, 4, 5}}, {ints({3, 1, 0, 2})}, {}});
  check_case({"transpose", {{1, 3, 4}}, {ints({1, 0, 2})}, {}});
  check_case({"space_to_depth", {{2, 4, 6, 3}}, {}, attrs({{"block_size", std::int64_t{2}}})});
  check_case({"depth_to_space", {{2, 4, 6, 8}}, {}, attrs({{"block_size", std::int64_t{2}}})});
  Tensor paddings(DataType::kInt32, {3, 2});
  std::copy_n(std::vector<std::int32_t>{1, 0, 2, 1, 0, 0}.begin(), 6, paddings.flat<std::int32_t>().begin());
  check_case({"pad", {{3, 4, 5}}, {paddings}, {}});
  check_case({"pad", {{3, 4, 5}}, {paddings, Tensor::scalar(7.0f)}, {}});
  check_case({"mirror_pad", {{3, 4, 5}}, {paddings}, attrs({{"mode", std::string("REFLECT")}})});
  check_case({"gather", {{5, 6}}, {ints({4, 0, 2}), scalar(0)}, {}});
  check_case({"gather", {{5, 6}}, {ints({4, 0, 2}), scalar(1)}, {}});
}

TEST(Lowering, Filling) {
  check_case({"zeros_like", {{3, 4}}, {}, {}});
  check_case({"ones_like", {{3, 4}}, {}, {}});
  check_case({"fill", {{}}, {ints({3, 4})}, {}, 1, true});
  check_case({"bitcast", {{3, 4}}, {}, attrs({{"type", DataType::kInt32}})});
}

TEST(Lowering, Pooling) {
  for (const char* padding : {"SAME", "VALID"}) {
    const auto window = [&](std::vector<std::int64_t> size, std::vector<std::int64_t> strides) {
      return attrs({{"ksize", std::move(size)}, {"strides", std::move(strides)}, {"padding", std::string(padding)}});
    };
    for (const char* op : {"max_pool", "avg_pool"}) check_case({op, {{2, 7, 8, 5}}, {}, window({1, 3, 2, 1}, {1, 2, 2, 1})});
    for (const char* op : {"max_pool_3d", "avg_pool_3d"}) check_case({op, {{2, 5, 7, 8, 5}}, {}, window({1, 2, 3, 2, 1}, {1, 1, 2, 2, 1})});
  }
}

TEST(Lowering, Resizing) {
  for (const char* op : {"resize_bilinear", "resize_nearest"}) {
    check_case({op, {{2, 5, 4, 3}}, {ints({9, 7})}, attrs({{"half_pixel_centers", true}})});
    check_case({op, {{2, 5, 4, 3}}, {ints({3, 8})}, attrs({{"align_corners", true}})});
    check_case({op, {{2, 5, 4, 3}}, {ints({10, 8})}, {}});
  }
}

TEST(Lowering, Concatenation) {
  for (const int axis : {0, 1, 2, -1}) {
    check_case({"concat", {{3, 4, 5}, {3, 4, 5}, {3, 4, 5}}, {scalar(axis)}, {}});
    check_case({"pack", {{3, 4, 5}, {3, 4, 5}}, {}, attrs({{"axis", std::int64_t{axis}}})});
  }
}

TEST(Lowering, Rows) {
  check_case({"sum", {{3, 4, 5}}, {ints({1})}, {}});
  check_case({"mean", {{3, 4, 5, 6}}, {ints({1, 2})}, attrs({{"keep_dims", true}})});
  check_case({"max", {{3, 4, 5}}, {ints({0, 2})}, {}});
  check_case({"layer_norm", {{3, 4, 32}}, {random_tensor({32}, 4), random_tensor({32}, 5)}, attrs({{"axes_count", std::int64_t{1}}, {"epsilon", 1e-5f}})});
  check_case({"layer_norm", {{3, 4, 32}}, {random_tensor({1, 32}, 4), random_tensor({1}, 5)}, attrs({{"axes_count", std::int64_t{2}}, {"epsilon", 1e-5f}})});
}

TEST(Lowering, MatrixProducts) {
  check_case({"fused_matmul", {{3, 4, 5}}, {random_tensor({5, 6}, 3)}, {}});
  check_case({"fused_matmul", {{3, 4, 5}}, {random_tensor({6, 5}, 3)}, attrs({{"transpose_b", true}})});
  check_case({"fused_matmul", {{3, 4, 5}, {3, 5, 6}}, {}, {}});
  check_case({"fused_matmul", {{2, 1, 4, 5}, {3, 6, 5}}, {}, attrs({{"transpose_b", true}})});
  check_case({"fused_matmul", {{2, 3, 2, 5, 4}, {3, 1, 5, 6}}, {}, attrs({{"transpose_a", true}})});
  check_case({"fused_matmul", {{3, 4, 5}}, {random_tensor({2, 1, 5, 6}, 3), random_tensor({6}, 4)}, attrs({{"has_bias", true}, {"activation", std::string("tanh")}})});
}

TEST(Lowering, RunTimeFilters) {
  const ir::Attrs a = attrs({{"strides", std::vector<std::int64_t>{1, 2}}, {"dilations", std::vector<std::int64_t>{2, 1}}, {"padding", std::string("SAME")}});
  check_case({"fused_conv2d", {{2, 7, 8, 3}, {1, 3, 3, 5}}, {}, a});
  check_case({"fused_depthwise_conv2d", {{2, 7, 8, 3}, {1, 3, 3, 2}}, {}, a});
}

TEST(Lowering, ConvolutionThenDepthwise) {
  ir::Attrs a = attrs({{"strides", std::vector<std::int64_t>{1, 1}}, {"dilations", std::vector<std::int64_t>{1, 1}}, {"padding", std::string("VALID")},
                       {"activation", std::string("swish")}, {"depthwise_strides", std::vector<std::int64_t>{2, 2}},
                       {"depthwise_dilations", std::vector<std::int64_t>{1, 1}}, {"depthwise_padding", std::string("SAME")}});
  const Tensor filter = random_tensor({1, 1, 5, 20}, 1), second = random_tensor({3, 3, 20, 1}, 2);
  check_case({"fused_conv2d_depthwise", {{3, 9, 11, 5}}, {filter, second}, a});
  a.set("depthwise_has_bias", true);
  check_case({"fused_conv2d_depthwise", {{3, 9, 11, 5}}, {filter, second, random_tensor({20}, 3)}, a});
  a.set("has_bias", true);
  a.set("depthwise_activation", std::string("relu6"));
  check_case({"fused_conv2d_depthwise", {{3, 9, 11, 5}}, {filter, second, random_tensor({20}, 3), random_tensor({20}, 4)}, a});
  a.set("projection_strides", std::vector<std::int64_t>{1, 1});
  a.set("projection_dilations", std::vector<std::int64_t>{1, 1});
  a.set("projection_padding", std::string("SAME"));
  const Tensor third = random_tensor({1, 1, 20, 7}, 5);
  check_case({"fused_conv2d_depthwise", {{3, 9, 11, 5}}, {filter, second, random_tensor({20}, 3), random_tensor({20}, 4), third}, a});
  a.set("projection_has_bias", true);
  check_case({"fused_conv2d_depthwise", {{3, 9, 11, 5}}, {filter, second, random_tensor({20}, 3), random_tensor({20}, 4), third, random_tensor({7}, 6)}, a});
}

TEST(Lowering, GroupedConvolutions) {
  const ir::Attrs a = attrs({{"strides", std::vector<std::int64_t>{1, 1}}, {"dilations", std::vector<std::int64_t>{1, 1}}, {"padding", std::string("SAME")}});
  check_case({"fused_conv2d", {{2, 7, 8, 12}}, {random_tensor({3, 3, 4, 9}, 1)}, a});
  check_case({"fused_conv2d", {{2, 7, 8, 12}}, {random_tensor({3, 3, 1, 24}, 1)}, a});
  check_case({"fused_conv2d", {{2, 7, 8, 1}}, {random_tensor({3, 3, 1, 24}, 1)}, a});
}

ir::Attrs pointwise(bool bias) {
  ir::Attrs result = attrs({{"strides", std::vector<std::int64_t>{1, 1}}, {"dilations", std::vector<std::int64_t>{1, 1}}, {"padding", std::string("VALID")}});
  if (bias) result.set("has_bias", true);
  return result;
}

TEST(Lowering, Attention) {
  for (const char* layout : {"BHSD", "BSHD"}) {
    for (const char* output : {"BHSD", "BSHD"}) {
      ir::Attrs a = attrs({{"layout", std::string(layout)}, {"output_layout", std::string(output)}, {"scale", 0.3f}});
      check_case({"attention", {{2, 3, 3, 16}, {2, 3, 3, 16}, {2, 3, 3, 16}}, {}, a});
    }
  }
  ir::Attrs a = attrs({{"layout", std::string("BHSD")}, {"output_layout", std::string("BSHD")}, {"scale", 0.3f}, {"has_mask", true}});
  check_case({"attention", {{2, 3, 5, 8}, {2, 3, 7, 8}, {2, 3, 7, 4}, {2, 1, 1, 7}}, {}, a});
}

TEST(Lowering, TransposedConvolutions) {
  for (const std::int64_t stride : {1, 2, 3}) {
    ir::Attrs a = attrs({{"strides", std::vector<std::int64_t>{stride, stride}}, {"dilations", std::vector<std::int64_t>{1, 1}},
                         {"padding", std::string("SAME")}, {"has_bias", true}, {"activation", std::string("relu")}});
    GraphBuilder b;
    SymbolSource symbols;
    const auto x = b.parameter(DataType::kFloat32, {symbols.fresh(), 4, 5, 6});
    const auto size = b.constant(ints({static_cast<std::int32_t>(4 * stride), static_cast<std::int32_t>(5 * stride)}));
    const auto filter = b.constant(random_tensor({3, 3, 7, 6}, 1)), bias = b.constant(random_tensor({7}, 2));
    const auto graph = b.finish({b.op("fused_conv2d_transpose", {size, filter, x, bias}, a)});
    check(*graph, {random_tensor({2, 4, 5, 6}, 3)});
    EXPECT_EQ(kernels(*graph, {random_tensor({2, 4, 5, 6}, 3)}), std::vector<std::string>{"conv2d_transpose b:relu"});
  }
}

TEST(Lowering, ConvolutionsOfVolumes) {
  for (const char* padding : {"SAME", "VALID"}) {
    ir::Attrs a = attrs({{"strides", std::vector<std::int64_t>{2, 1, 1}}, {"dilations", std::vector<std::int64_t>{1, 1, 1}},
                         {"padding", std::string(padding)}, {"has_bias", true}, {"activation", std::string("tanh")}});
    check_case({"fused_conv3d", {{2, 5, 6, 7, 4}}, {random_tensor({3, 3, 3, 4, 9}, 1), random_tensor({9}, 2)}, a});
  }
}

TEST(Lowering, Selection) {
  GraphBuilder b;
  const auto x = b.parameter(DataType::kFloat32, {4, 3}), y = b.parameter(DataType::kFloat32, {4, 3}, "y");
  const auto less = b.op("less", {x, y});
  const auto rows = b.op("any", {less, b.constant(ints({1}))});
  const auto graph = b.finish({b.op("select", {less, x, y}), b.op("select", {rows, x, y}), b.op("select_v2", {less, x, b.constant(Tensor::scalar(2.0f))})});
  check(*graph, {random_tensor({4, 3}, 1), random_tensor({4, 3}, 2)});
}

TEST(Lowering, Integers) {
  GraphBuilder b;
  const auto x = b.parameter(DataType::kInt32, {2, 3}), y = b.parameter(DataType::kInt32, {3}, "y");
  const auto less = b.op("less", {x, y});
  const auto sum = b.op("add", {x, y});
  const auto graph = b.finish({b.op("select_v2", {less, sum, b.constant(scalar(7))}), b.op("mul", {x, sum}), b.op("maximum", {y, x}), less, b.op("neg", {x})});
  Tensor feed(DataType::kInt32, {2, 3});
  std::copy_n(std::vector<std::int32_t>{-3, 5, 2147483647, 9, 0, -7}.begin(), 6, feed.flat<std::int32_t>().begin());
  check(*graph, {feed, ints({1, 5, 6})});
  for (const std::string& kernel : kernels(*graph, {feed, ints({1, 5, 6})})) EXPECT_EQ(kernel, "integer elementwise");
}

// As in a dense block: every layer's result joins all before it.
TEST(Lowering, WritesConcatenationsOfChannelsInPlace) {
  GraphBuilder b;
  SymbolSource symbols;
  const auto x = b.parameter(DataType::kFloat32, {symbols.fresh(), 5, 4, 8});
  const auto axis = b.constant(scalar(3));
  ir::Value all = b.op("fused_conv2d", {x, b.constant(random_tensor({1, 1, 8, 16}, 1))}, pointwise(false));
  std::int64_t channels = 16;
  for (unsigned i = 0; i < 3; ++i) {
    const auto part = b.op("fused_conv2d", {all, b.constant(random_tensor({1, 1, channels, 16}, i + 2))}, pointwise(false));
    all = b.op("concat", {all, part, axis});
    channels += 16;
  }
  const auto y = b.op("fused_conv2d", {all, b.constant(random_tensor({1, 1, channels, 3}, 9))}, pointwise(false));
  const auto graph = b.finish({y});
  for (const std::int64_t batch : {1, 3}) check(*graph, {random_tensor({batch, 5, 4, 8}, 20)});
  for (const std::string& kernel : kernels(*graph, {random_tensor({1, 5, 4, 8}, 20)})) EXPECT_NE(kernel, "concat");
}

TEST(Lowering, CopiesPartsOfConcatenationsThatAreUsedElsewhere) {
  GraphBuilder b;
  const auto x = b.parameter(DataType::kFloat32, {2, 3, 4});
  const auto y = b.op("tanh", {x});
  const auto twice = b.op("concat", {y, x, y, b.constant(scalar(2))});
  const auto softmaxed = b.op("sum", {y, b.constant(ints({2}))});
  const auto graph = b.finish({twice, softmaxed, y});
  check(*graph, {random_tensor({2, 3, 4}, 1)});
}

TEST(Lowering, ShapeArithmeticCostsNoStep) {
  GraphBuilder b;
  SymbolSource symbols;
  const auto x = b.parameter(DataType::kFloat32, {symbols.fresh(), 3, 4});
  const auto shape = b.op("shape", {x});
  const auto batch = b.op("strided_slice", {shape, b.constant(ints({0})), b.constant(ints({1})), b.constant(ints({1}))},
                          attrs({{"shrink_axis_mask", std::int64_t{1}}}));
  const auto target = b.op("pack", {batch, b.constant(scalar(12))}, attrs({{"axis", std::int64_t{0}}}));
  const auto y = b.op("neg", {b.op("reshape", {x, target})});
  const auto graph = b.finish({y});
  check(*graph, {random_tensor({5, 3, 4}, 1)});
  EXPECT_EQ(kernels(*graph, {random_tensor({5, 3, 4}, 1)}), std::vector<std::string>{"elementwise"});
}

TEST(Lowering, SizesMayBeInputs) {
  GraphBuilder b;
  SymbolSource symbols;
  const auto x = b.parameter(DataType::kFloat32, {2, 6});
  const auto size = b.parameter(DataType::kInt32, {2}, "size");
  const auto graph = b.finish({b.op("neg", {b.op("reshape", {x, size})})});
  const auto executable = load(build(*graph));
  for (const auto& wanted : {std::vector<std::int32_t>{3, 4}, {12, 1}, {3, 4}}) {
    const std::vector<Tensor> feeds = {random_tensor({2, 6}, 1), ints(wanted)};
    expect_near(run(*executable, feeds, 1)[0], reference(*graph, feeds)[0]);
  }
}

}  // namespace
}  // namespace tenon::test
