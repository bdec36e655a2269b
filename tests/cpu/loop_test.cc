// Loops whose number of rounds is known only when they run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "cpu/engine_fixture.h"
#include "ir/parse.h"

namespace tenon {
namespace {

using namespace test;

std::unique_ptr<ir::Graph> parse(const std::string& text) {
  ir::ParseOptions options;
  options.find_op = [](std::string_view name) { return ops::find_op(name); };
  return ir::parse(text, options);
}

const std::string kParameters = R"(n0 = parameter "i" {dtype: int32, index: 0} () -> int32[]
n1 = parameter "h" {dtype: float32, index: 1} () -> float32[s0,4]
n2 = parameter "out" {dtype: variant, index: 2} () -> variant[]
n3 = parameter "in" {dtype: variant, index: 3} () -> variant[]
n4 = parameter "w" {dtype: float32, index: 4} () -> float32[4,4]
n5 = parameter "n" {dtype: int32, index: 5} () -> int32[]
)";

// i < n
const std::string kCond = "graph \"cond\"\n" + kParameters + R"(n6 = less "less" {T: int32} (n0, n5) -> bool[]
parameters (n0, n1, n2, n3, n4, n5)
outputs (n6)
controls ()
end
)";

// h = tanh(in[i] w + h); out[`index`] = h; `state` is what becomes h
std::string body(const std::string& index = "n0", const std::string& state = "n12") {
  return "graph \"body\"\n" + kParameters + R"(n6 = const "one" {dtype: int32, value: int32[]{1}} () -> int32[]
n7 = add "next" {T: int32} (n0, n6) -> int32[]
n8 = const "shape" {dtype: int32, value: int32[2]{-1, 4}} () -> int32[2]
n9 = tensor_list_get_item "item" {element_dtype: float32} (n3, n0, n8) -> float32[s0,4]
n10 = matmul "product" {transpose_a: false, transpose_b: false} (n9, n4) -> float32[s0,4]
n11 = add "sum" {T: float32} (n10, n1) -> float32[s0,4]
n12 = tanh "tanh" {T: float32} (n11) -> float32[s0,4]
n13 = tensor_list_set_item "set" {element_dtype: float32} (n2, )" +
         index + R"(, n12) -> variant[]
n14 = const "axis" {dtype: int32, value: int32[]{0}} () -> int32[]
n15 = concat "grown" {T: float32, Tidx: int32} (n12, n12, n14) -> float32[s1,4]
parameters (n0, n1, n2, n3, n4, n5)
outputs (n7, )" +
         state + R"(, n13, n3, n4, n5)
controls ()
end
)";
}

// x[time, batch, 4], h[batch, 4], w[4, 4] -> the last h, all h
constexpr const char* kMain = R"(graph "main"
n0 = parameter "x" {dtype: float32, index: 0, shape: <s0,s1,4>} () -> float32[s0,s1,4]
n1 = parameter "h" {dtype: float32, index: 1, shape: <s1,4>} () -> float32[s1,4]
n2 = const "zero" {dtype: int32, value: int32[1]{0}} () -> int32[1]
n3 = const "first" {dtype: int32, value: int32[1]{1}} () -> int32[1]
n4 = shape "shape" {T: float32, out_type: int32} (n0) -> int32[3]
n5 = strided_slice "time" {begin_mask: 0, ellipsis_mask: 0, end_mask: 0, new_axis_mask: 0, shrink_axis_mask: 1} (n4, n2, n3, n3) -> int32[]
n6 = const "element" {dtype: int32, value: int32[2]{-1, 4}} () -> int32[2]
n7 = tensor_list_from_tensor "in" {element_dtype: float32} (n0, n6) -> variant[]
n8 = tensor_list_reserve "out" {element_dtype: float32} (n6, n5) -> variant[]
n9 = const "start" {dtype: int32, value: int32[]{0}} () -> int32[]
n10 = const "w" {dtype: float32, value: @0} () -> float32[4,4]
n11 = while "loop" {T: [int32, float32, variant, variant, float32, int32], body: &"body"{}, cond: &"cond"{}} (n9, n1, n8, n7, n10, n5) -> int32[], float32[s1,4], variant[], variant[], float32[4,4], int32[]
n12 = tensor_list_stack "stack" {element_dtype: float32} (n11:2, n6) -> float32[s0,s1,4]
parameters (n0, n1)
outputs (n11:1, n12)
controls ()
end
)";

const Tensor& weights() {
  static const Tensor w = random_tensor(Shape{4, 4}, 5);
  return w;
}

class Loops : public testing::Test {
 protected:
  explicit Loops() { set_body(body()); }

  void set_body(const std::string& text) {
    module_.functions["body"] = parse(text);
    module_.functions["cond"] = parse(kCond);
  }

  plan::Engine compile(const CompileOptions& compile_options = {}) {
    ir::ParseOptions options;
    options.find_op = [](std::string_view name) { return ops::find_op(name); };
    options.tensor = [](int) { return weights(); };
    Segment segment{"TRTEngineOp_000_000", ir::parse(kMain, options), &module_};
    return make_cpu_backend()->compile(segment, compile_options);
  }

  static std::vector<Tensor> expected(const Tensor& x, const Tensor& h0) {
    Tensor h = h0.clone(), all(DataType::kFloat32, x.shape());
    const std::int64_t batch = x.dim(1);
    for (std::int64_t t = 0; t < x.dim(0); ++t) {
      for (std::int64_t b = 0; b < batch; ++b) {
        for (std::int64_t c = 0; c < 4; ++c) {
          double sum = h.flat<float>()[static_cast<std::size_t>(b * 4 + c)];
          for (std::int64_t k = 0; k < 4; ++k) {
            sum += x.flat<float>()[static_cast<std::size_t>((t * batch + b) * 4 + k)] * weights().flat<float>()[static_cast<std::size_t>(k * 4 + c)];
          }
          all.flat<float>()[static_cast<std::size_t>((t * batch + b) * 4 + c)] = static_cast<float>(std::tanh(sum));
        }
      }
      if (batch > 0) std::copy_n(all.flat<float>().data() + t * batch * 4, batch * 4, h.flat<float>().data());
    }
    return {h, all};
  }

  ir::Module module_;
};

TEST_F(Loops, RunAsOftenAsTheShapesSay) {
  const auto executable = load(compile());
  for (const auto& [time, batch] : {std::pair(5, 3), std::pair(1, 1), std::pair(0, 2), std::pair(4, 0), std::pair(40, 1), std::pair(5, 3)}) {
    const Tensor x = random_tensor(Shape{time, batch, 4}, static_cast<unsigned>(time)), h = random_tensor(Shape{batch, 4}, 2);
    const auto found = run(*executable, {x, h}, 2), wanted = expected(x, h);
    expect_near(found[0], wanted[0]);
    expect_near(found[1], wanted[1]);
  }
}

TEST_F(Loops, GiveTheSameBitsForAnyTeam) {
  const plan::Engine engine = compile();
  const Tensor x = random_tensor(Shape{9, 70, 4}, 1), h = random_tensor(Shape{70, 4}, 2);
  const auto one = run(*load(engine, 1), {x, h}, 2), two = run(*load(engine, 2), {x, h}, 2);
  expect_same_bits(one[0], two[0]);
  expect_same_bits(one[1], two[1]);
}

TEST_F(Loops, KeepTheirPackedWeightsInThePlanOnce) {
  const auto executable = load(compile());
  const Tensor x = random_tensor(Shape{2, 1, 4}, 1), h = random_tensor(Shape{1, 4}, 2);
  const auto layers = executable->layers(std::vector<TensorView>{TensorView::of(x), TensorView::of(h)});
  const auto is_loop = [](const LayerTime& layer) { return layer.kernel == "loop" && layer.node == "loop"; };
  EXPECT_EQ(std::count_if(layers.begin(), layers.end(), is_loop), 1);
  CompileOptions unmeasured;
  unmeasured.measure = false;
  EXPECT_TRUE(plan::serialize(compile(unmeasured)) == plan::serialize(compile(unmeasured)));
}

ErrorCode code_of(Executable& executable) {
  try {
    run(executable, {random_tensor(Shape{2, 3, 4}, 1), random_tensor(Shape{3, 4}, 2)}, 2);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST_F(Loops, LeaveStatesThatGrowToTheHost) {
  set_body(body("n0", "n15"));
  EXPECT_EQ(code_of(*load(compile())), ErrorCode::kUnsupported);
}

// h = as many copies of tanh(…) as there were rounds
TEST_F(Loops, WhoseSizesComeFromTheirStatesAreNotTaken) {
  std::string text = body("n0", "n16");
  const std::string grown = "n15 = concat \"grown\" {T: float32, Tidx: int32} (n12, n12, n14) -> float32[s1,4]\n";
  ASSERT_NE(text.find(grown), std::string::npos);
  text.replace(text.find(grown), grown.size(),
               "n15 = pack \"times\" {T: int32, N: 2, axis: 0} (n7, n6) -> int32[2]\n"
               "n16 = tile \"repeated\" {T: float32, Tmultiples: int32} (n12, n15) -> float32[s1,4]\n");
  set_body(text);
  EXPECT_THROW(compile(), Error);
  ir::ParseOptions options;
  options.find_op = [](std::string_view name) { return ops::find_op(name); };
  options.tensor = [](int) { return weights(); };
  const auto graph = ir::parse(kMain, options);
  const auto loop = std::ranges::find_if(graph->nodes(), [](const auto& node) { return node->is("while"); });
  EXPECT_FALSE(make_cpu_backend()->supports_loop(**loop, module_, {}));
}

TEST_F(Loops, RefuseToWriteBehindAList) {
  set_body(body("n7"));
  EXPECT_EQ(code_of(*load(compile())), ErrorCode::kInvalidArgument);
}

TEST_F(Loops, DoNotRunWithoutTheirFunctions) {
  module_.functions.clear();
  EXPECT_THROW(compile(), Error);
}

}  // namespace
}  // namespace tenon
