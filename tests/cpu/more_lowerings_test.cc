// Lowerings beside the arithmetic of float32: integers, positions, moved and picked elements, images, against the reference kernels.
#include <limits>

#include "base/error.h"
#include "cpu/engine_fixture.h"

namespace tenon::test {
namespace {

Tensor ints(std::vector<std::int32_t> values) { return Tensor::vector<std::int32_t>(values); }

template <class T>
Tensor random_integers(Shape shape, unsigned seed, T low, T high) {
  Tensor tensor(DataTypeOf<T>::value, std::move(shape));
  std::mt19937 generator(seed);
  std::uniform_int_distribution<T> uniform(low, high);
  for (T& value : tensor.flat<T>()) value = uniform(generator);
  return tensor;
}

struct Case {
  std::string op;
  std::vector<Tensor> inputs;
  std::vector<Tensor> constants;
  ir::Attrs attributes = {};
  int outputs = 1;
};

std::unique_ptr<ir::Graph> graph_of(const Case& c, bool dynamic) {
  GraphBuilder b;
  SymbolSource symbols;
  std::vector<ir::Value> operands;
  for (const Tensor& input : c.inputs) {
    PartialShape type(input.shape());
    if (dynamic && input.rank() > 0 && input.dim(0) > 1) type[0] = symbols.fresh();
    operands.push_back(b.parameter(input.dtype(), type));
  }
  for (const Tensor& constant : c.constants) operands.push_back(b.constant(constant));
  const ir::Value first = b.op(c.op, operands, c.attributes, c.outputs);
  std::vector<ir::Value> outputs;
  for (int i = 0; i < c.outputs; ++i) outputs.push_back({first.node, i});
  return b.finish(outputs);
}

// By a kernel of its own, for known and unknown first sizes.
void check_case(const Case& c) {
  SCOPED_TRACE(c.op);
  for (const bool dynamic : {false, true}) {
    const auto graph = graph_of(c, dynamic);
    check(*graph, c.inputs);
    for (const std::string& kernel : kernels(*graph, c.inputs)) EXPECT_NE(kernel, "reference");
  }
}

template <class T>
void check_arithmetic() {
  const T low = std::numeric_limits<T>::lowest(), high = std::numeric_limits<T>::max();
  const Tensor x = random_integers<T>({3, 5, 7}, 1, low, high), y = random_integers<T>({5, 7}, 2, low, high);
  for (const char* op : {"bitwise_and", "bitwise_or", "bitwise_xor", "add", "mul", "maximum"}) check_case({op, {x, y}, {}});
  for (const char* op : {"abs", "invert", "neg"}) check_case({op, {x}, {}});
  Tensor divisor = random_integers<T>({5, 7}, 3, -9, 9);
  for (T& value : divisor.flat<T>()) value = value == 0 ? T{4} : value;
  Tensor dividend = random_integers<T>({3, 5, 7}, 4, -100, 100);
  dividend.flat<T>()[0] = low;
  divisor.flat<T>()[0] = -1;
  for (const char* op : {"floor_div", "truncate_div", "div", "floor_mod", "truncate_mod"}) check_case({op, {dividend, divisor}, {}});
}

TEST(Integers, AreComputedAsTheReferenceDoes) {
  check_arithmetic<std::int32_t>();
  check_arithmetic<std::int64_t>();
}

TEST(Integers, RefuseToDivideByZero) {
  const Case c{"floor_mod", {ints({5, 6, 7}), ints({1, 0, 2})}, {}};
  const auto executable = load(build(*graph_of(c, false)));
  EXPECT_THROW(run(*executable, c.inputs, 1), Error);
}

template <class T>
void check_reductions() {
  for (const char* op : {"sum", "prod", "max", "min"}) {
    const Tensor x = random_integers<T>({3, 4, 5, 6}, 5, -40, 40);
    for (const auto& axes : {std::vector<std::int32_t>{}, {0}, {3}, {1, 2}, {0, 2}, {-1, 1}, {0, 1, 2, 3}}) check_case({op, {x}, {ints(axes)}});
    check_case({op, {x}, {ints({2})}, attrs({{"keep_dims", true}})});
    check_case({op, {random_integers<T>({200, 300}, 6, -9, 9)}, {ints({1})}});
    check_case({op, {Tensor(DataTypeOf<T>::value, Shape{2, 0, 3})}, {ints({1})}});
    check_case({op, {Tensor::scalar<T>(7)}, {ints({})}});
  }
}

TEST(Integers, AreReduced) {
  check_reductions<std::int32_t>();
  check_reductions<std::int64_t>();
}

Tensor with_ties(Shape shape) {
  Tensor x = random_integers<std::int32_t>(shape, 7, 0, 4);
  Tensor tensor(DataType::kFloat32, std::move(shape));
  for (std::size_t i = 0; i < tensor.flat<float>().size(); ++i) tensor.flat<float>()[i] = static_cast<float>(x.flat<std::int32_t>()[i]);
  return tensor;
}

TEST(Positions, OfExtremesAreThoseOfTheFirst) {
  Tensor odd = with_ties({4, 40});
  odd.flat<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  for (int i = 40; i < 80; ++i) odd.flat<float>()[static_cast<std::size_t>(i)] = -std::numeric_limits<float>::infinity();
  odd.flat<float>()[100] = std::numeric_limits<float>::infinity();
  for (const char* op : {"arg_max", "arg_min"}) {
    for (const DataType to : {DataType::kInt32, DataType::kInt64}) {
      const auto attributes = attrs({{"output_type", to}});
      for (const std::int32_t axis : {0, 1, 2, -1}) {
        check_case({op, {with_ties({3, 70, 5})}, {Tensor::scalar(axis)}, attributes});
        check_case({op, {random_integers<std::int32_t>({2, 3, 40}, 8, -5, 5)}, {Tensor::scalar(axis)}, attributes});
        check_case({op, {random_integers<std::int64_t>({2, 3, 4}, 9, -5, 5)}, {Tensor::scalar(axis)}, attributes});
      }
      check_case({op, {odd}, {Tensor::scalar(1)}, attributes});
      check_case({op, {odd}, {Tensor::scalar(0)}, attributes});
      check_case({op, {random_tensor({2, 9, 600}, 3)}, {Tensor::scalar(1)}, attributes});
      check_case({op, {random_tensor({600, 1000}, 3)}, {Tensor::scalar(1)}, attributes});
      check_case({op, {Tensor(DataType::kFloat32, Shape{0, 3})}, {Tensor::scalar(1)}, attributes});
    }
  }
}

TEST(Positions, OfTheLargestStandInTensorFlowsOrder) {
  for (const bool sorted : {true, false}) {
    for (const std::int32_t k : {0, 1, 5, 40}) {
      const auto attributes = attrs({{"sorted", sorted}});
      check_case({"top_k", {with_ties({3, 40})}, {Tensor::scalar(k)}, attributes, 2});
      check_case({"top_k", {random_tensor({2, 300, 40}, 4)}, {Tensor::scalar(k)}, attributes, 2});
      check_case({"top_k", {random_integers<std::int64_t>({40}, 5, -9, 9)}, {Tensor::scalar(k)}, attributes, 2});
    }
  }
  check_case({"top_k", {random_tensor({4, 9}, 4)}, {Tensor::scalar(3)}, attrs({{"index_type", DataType::kInt64}}), 2});
}

Tensor pairs(std::vector<std::int32_t> values) {
  const auto rows = static_cast<std::int64_t>(values.size() / 2);
  return ints(std::move(values)).reshaped(Shape{rows, 2});
}

TEST(Blocks, MoveBetweenSpaceAndBatch) {
  const Tensor image = random_tensor({2, 6, 8, 3}, 1);
  check_case({"space_to_batch", {image}, {ints({2, 4}), pairs({0, 0, 0, 0})}});
  check_case({"space_to_batch", {image}, {ints({3, 2}), pairs({1, 2, 3, 1})}});
  check_case({"space_to_batch", {image}, {pairs({1, 1, 2, 2})}, attrs({{"block_size", std::int64_t{2}}})});
  check_case({"space_to_batch", {random_integers<std::int64_t>({3, 7}, 2, 0, 99)}, {ints({3}), pairs({1, 1})}});
  const Tensor batch = random_tensor({12, 3, 2, 5}, 2);
  check_case({"batch_to_space", {batch}, {ints({2, 3}), pairs({0, 0, 0, 0})}});
  check_case({"batch_to_space", {batch}, {ints({3, 2}), pairs({1, 2, 0, 1})}});
  check_case({"batch_to_space", {batch}, {pairs({1, 0, 0, 2})}, attrs({{"block_size", std::int64_t{2}}})});
}

TEST(Blocks, RollAroundTheEnds) {
  const Tensor x = random_tensor({4, 5, 6}, 1);
  check_case({"roll", {x}, {ints({2}), ints({1})}});
  check_case({"roll", {x}, {ints({-1, 13, 3}), ints({0, 2, -1})}});
  check_case({"roll", {x}, {ints({1, 2}), ints({1, 1})}});
  check_case({"roll", {Tensor(DataType::kFloat32, Shape{0, 3})}, {ints({1, 1}), ints({0, 1})}});
  check_case({"roll", {random_integers<std::int64_t>({7}, 2, 0, 99)}, {ints({0}), ints({0})}});
}

template <class T>
void check_scans(const Tensor& x) {
  for (const char* op : {"cumsum", "cumprod"}) {
    for (const std::int32_t axis : {0, 1, -1}) {
      for (const bool exclusive : {false, true}) {
        for (const bool reverse : {false, true}) {
          check_case({op, {x}, {Tensor::scalar(axis)}, attrs({{"exclusive", exclusive}, {"reverse", reverse}})});
        }
      }
    }
    check_case({op, {Tensor(DataTypeOf<T>::value, Shape{2, 0, 3})}, {Tensor::scalar(1)}});
  }
}

TEST(Scans, RunAlongAnAxis) {
  check_scans<float>(random_tensor({3, 5, 300}, 1));
  check_scans<std::int32_t>(random_integers<std::int32_t>({3, 5, 7}, 1, -100, 100));
  check_scans<std::int64_t>(random_integers<std::int64_t>({4, 9, 2}, 1, -100, 100));
  check_case({"cumsum", {random_tensor({700}, 1)}, {Tensor::scalar(0)}});
}

Tensor coordinates(std::vector<std::int32_t> values, Shape shape) { return ints(std::move(values)).reshaped(std::move(shape)); }

TEST(Indexing, TakesSlicesByCoordinates) {
  const Tensor table = random_tensor({4, 5, 6}, 1);
  check_case({"gather_nd", {table, coordinates({0, 1, 3, 4, 2, 2}, {3, 2})}, {}});
  check_case({"gather_nd", {table, coordinates({3, 0, 1, 2}, {2, 2, 1})}, {}});
  check_case({"gather_nd", {table, coordinates({3, 4, 5, 0, 0, 0}, {2, 3})}, {}});
  check_case({"gather_nd", {table, Tensor(DataType::kInt32, Shape{2, 0})}, {}});
  check_case({"gather_nd", {table, Tensor(DataType::kInt32, Shape{0, 2})}, {}});
  check_case({"gather_nd", {table, coordinates({0, 9, 1, 1}, {2, 2})}, {}, attrs({{"bad_indices_policy", std::string("IGNORE")}})});
  const Case outside{"gather_nd", {table, coordinates({0, 9}, {1, 2})}, {}};
  const auto executable = load(build(*graph_of(outside, false)));
  EXPECT_THROW(run(*executable, outside.inputs, 1), Error);
}

TEST(Indexing, GathersFromATablePerBatch) {
  const Tensor table = random_tensor({3, 4, 5, 6}, 1), rows = random_integers<std::int32_t>({3, 4, 2}, 2, 0, 4);
  check_case({"gather", {table, rows}, {Tensor::scalar(2)}, attrs({{"batch_dims", std::int64_t{2}}})});
  check_case({"gather", {table, random_integers<std::int32_t>({3, 7}, 2, 0, 4)}, {Tensor::scalar(2)}, attrs({{"batch_dims", std::int64_t{1}}})});
  check_case({"gather", {table, rows}, {Tensor::scalar(2)}, attrs({{"batch_dims", std::int64_t{-1}}})});
  check_case({"gather", {table, random_integers<std::int64_t>({2, 2}, 2, 0, 4)}, {Tensor::scalar(2)}, attrs({{"batch_dims", std::int64_t{0}}})});
}

TEST(Indexing, MakesOneHotRows) {
  const Tensor indices = random_integers<std::int32_t>({3, 4}, 1, -1, 6);
  for (const std::int64_t axis : {-1, 0, 1}) {
    check_case({"one_hot", {indices}, {Tensor::scalar(5), Tensor::scalar(2.0f), Tensor::scalar(-1.0f)}, attrs({{"axis", axis}})});
  }
  check_case({"one_hot", {random_integers<std::int64_t>({70}, 1, 0, 9)}, {Tensor::scalar(9), Tensor::scalar(true), Tensor::scalar(false)}});
  check_case({"one_hot", {indices}, {Tensor::scalar(0), Tensor::scalar(2.0f), Tensor::scalar(-1.0f)}});
}

TEST(Images, AreResizedByWideKernels) {
  const Tensor image = random_tensor({2, 7, 9, 3}, 1);
  Tensor bytes(DataType::kUInt8, Shape{1, 5, 6, 4});
  for (std::size_t i = 0; i < bytes.flat<std::uint8_t>().size(); ++i) bytes.flat<std::uint8_t>()[i] = static_cast<std::uint8_t>(i * 37);
  for (const char* op : {"resize_bicubic", "resize_area"}) {
    for (const Tensor& size : {ints({14, 18}), ints({4, 5}), ints({1, 20}), ints({7, 9})}) {
      check_case({op, {image}, {size}});
      check_case({op, {bytes}, {size}, attrs({{"align_corners", true}})});
    }
  }
  check_case({"resize_bicubic", {image}, {ints({11, 4})}, attrs({{"half_pixel_centers", true}})});
  check_case({"resize_bicubic", {random_tensor({1, 100, 120, 16}, 2)}, {ints({150, 90})}, attrs({{"half_pixel_centers", true}})});
  const Tensor scale = Tensor::vector<float>(std::vector<float>{1.5f, 0.6f}), move = Tensor::vector<float>(std::vector<float>{-1.0f, 2.5f});
  for (const char* kernel : {"lanczos3", "gaussian", "keyscubic", "triangle"}) {
    check_case({"scale_and_translate", {image}, {ints({10, 8}), scale, move}, attrs({{"kernel_type", std::string(kernel)}})});
  }
}

template <class T>
Tensor narrowed(const Tensor& wide) {
  Tensor tensor(DataTypeOf<T>::value, wide.shape());
  std::ranges::transform(wide.flat<float>(), tensor.flat<T>().begin(), [](float v) { return T(v); });
  return tensor;
}

// softmax(relu(x w + b)) and the positions of the largest, of a narrow type throughout; the sums leave as float32.
template <class T>
void check_narrow_classifier(double tolerance) {
  GraphBuilder b;
  SymbolSource symbols;
  const DataType type = DataTypeOf<T>::value;
  const ir::Value x = b.parameter(type, PartialShape{symbols.fresh(), 12});
  const ir::Value w = b.constant(narrowed<T>(random_tensor({12, 9}, 2))), bias = b.constant(narrowed<T>(random_tensor({9}, 3)));
  const ir::Value y = b.op("relu", {b.op("bias_add", {b.op("matmul", {x, w}), bias})});
  const ir::Value wide = b.op("cast", {b.op("softmax", {y})}, attrs({{"DstT", DataType::kFloat32}}));
  const ir::Value top = b.op("arg_max", {y, b.constant(Tensor::scalar(1))}, attrs({{"output_type", DataType::kInt32}}));
  const auto graph = b.finish({wide, top, b.op("add", {x, x})});
  for (const auto& node : graph->nodes()) {
    const ir::Node* nodes[] = {node.get()};
    if (node->is("parameter") || node->is("const")) continue;
    EXPECT_TRUE(make_cpu_backend()->supports(nodes, {})) << node->name;
  }
  const std::vector<Tensor> inputs = {narrowed<T>(random_tensor({5, 12}, 1))};
  check(*graph, inputs, tolerance);
  for (const std::string& kernel : kernels(*graph, inputs)) EXPECT_NE(kernel, "reference");
}

TEST(NarrowFloats, AreComputedInFloat32) {
  check_narrow_classifier<Half>(1e-3);
  check_narrow_classifier<BFloat16>(1e-2);
}

TEST(NarrowFloats, AreMovedAsTheyAre) {
  const Tensor x = narrowed<Half>(random_tensor({3, 4, 5}, 1));
  check_case({"transpose", {x}, {ints({2, 0, 1})}});
  check_case({"reshape", {x}, {ints({3, 20})}});
}

// Boxes as two corners in [0, 1].
Tensor random_boxes(Shape shape, unsigned seed) {
  Tensor boxes = random_tensor(std::move(shape), seed);
  for (float& v : boxes.flat<float>()) v = std::fabs(v);
  return boxes;
}

TEST(Detection, OfPaddedSizeRunsInAnEngine) {
  const Tensor scores = random_boxes({2, 60, 3}, 1);
  const std::vector<Tensor> limits = {Tensor::scalar(4), Tensor::scalar(7), Tensor::scalar(0.5f), Tensor::scalar(0.1f)};
  check_case({"combined_non_max_suppression", {random_boxes({2, 60, 1, 4}, 2), scores}, limits, {}, 4});
  check_case({"combined_non_max_suppression", {random_boxes({2, 60, 3, 4}, 3), scores}, limits, attrs({{"pad_per_class", true}}), 4});
  const Tensor boxes = random_boxes({60, 4}, 4), own = random_boxes({60}, 5);
  const std::vector<Tensor> few = {Tensor::scalar(90), Tensor::scalar(0.4f), Tensor::scalar(0.2f)};
  check_case({"non_max_suppression", {boxes, own}, few, attrs({{"outputs", std::int64_t{2}}, {"pad_to_max_output_size", true}}), 2});
}

TEST(Detection, OfUnknownSizeStaysNative) {
  const Case c{"non_max_suppression", {random_boxes({60, 4}, 4), random_boxes({60}, 5)}, {Tensor::scalar(9)}, {}, 1};
  const auto graph = graph_of(c, false);
  const ir::Node* nodes[] = {graph->outputs[0].node};
  EXPECT_FALSE(make_cpu_backend()->supports(nodes, {}));
}

TEST(Volumes, AreConvolvedTransposed) {
  const auto attributes = [](std::vector<std::int64_t> strides, const char* padding) {
    return attrs({{"strides", std::move(strides)}, {"padding", std::string(padding)}, {"data_format", std::string("NDHWC")}});
  };
  const auto check_volume = [&](Shape x, Shape filter, std::vector<std::int32_t> sizes, std::vector<std::int64_t> strides, const char* padding) {
    for (const bool dynamic : {false, true}) {
      GraphBuilder builder;
      SymbolSource symbols;
      PartialShape type(x);
      if (dynamic) type[0] = symbols.fresh();
      const ir::Value size = builder.constant(ints(sizes)), weights = builder.constant(random_tensor(filter, 3, 0.5f));
      const ir::Value input = builder.parameter(DataType::kFloat32, type);
      const auto graph = builder.finish({builder.op("conv3d_backprop_input", {size, weights, input}, attributes(strides, padding))});
      check(*graph, {random_tensor(x, 4)});
      EXPECT_EQ(kernels(*graph, {random_tensor(x, 4)}), std::vector<std::string>{"conv3d_transpose"});
    }
  };
  check_volume({2, 3, 4, 5, 6}, {2, 3, 3, 7, 6}, {2, 6, 8, 10, 7}, {1, 2, 2, 2, 1}, "SAME");
  check_volume({2, 3, 4, 5, 6}, {2, 3, 3, 7, 6}, {2, 4, 6, 7, 7}, {1, 1, 1, 1, 1}, "VALID");
  check_volume({1, 2, 2, 2, 16}, {3, 3, 3, 16, 16}, {1, 7, 5, 4, 16}, {1, 3, 2, 1, 1}, "VALID");
}

}  // namespace
}  // namespace tenon::test
