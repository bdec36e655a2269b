// Random numbers. Stateful ops draw from a generator per node of the session; stateless ones from their seed operand.
#include <algorithm>
#include <mutex>
#include <numeric>

#include "base/visit_dtype.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/elements.h"
#include "ops/random_fill.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

constexpr std::int32_t kPhiloxAlgorithm = 1;
constexpr std::int32_t kThreeFryAlgorithm = 2;

// A generator that nodes of a session share between calls.
class NodeGenerator : public Object {
 public:
  explicit NodeGenerator(Philox generator) : generator_(generator) {}
  // A generator for the next `blocks` results, which nobody else gets.
  Philox reserve(std::uint64_t blocks) {
    const std::lock_guard lock(mutex_);
    const Philox result = generator_;
    generator_.skip(blocks);
    return result;
  }

 private:
  std::mutex mutex_;
  Philox generator_;
};

Philox reserve(EvalContext& ctx, std::uint64_t blocks) {
  const ObjectPtr object = ctx.services().resource("_random", ctx.node().name, [&]() -> ObjectPtr {
    auto seed = static_cast<std::uint64_t>(ctx.attrs().get_or<std::int64_t>("seed", 0));
    auto seed2 = static_cast<std::uint64_t>(ctx.attrs().get_or<std::int64_t>("seed2", 0));
    if (seed == 0 && seed2 == 0) {
      seed = ctx.services().random_seed();
      seed2 = ctx.services().random_seed();
    }
    return std::make_shared<NodeGenerator>(Philox::from_seeds(seed, seed2));
  });
  const auto generator = std::dynamic_pointer_cast<NodeGenerator>(object);
  if (generator == nullptr) ctx.fail_node("its name belongs to another resource");
  return generator->reserve(blocks);
}

Philox reserve_outputs(EvalContext& ctx, std::int64_t count) {
  return reserve(ctx, static_cast<std::uint64_t>(count) * kReservedPerOutput);
}

Shape shape_operand(const EvalContext& ctx, int i) {
  if (ctx.input(i).rank() != 1) ctx.fail_node("the shape must be a vector, it is {}", ctx.input(i).describe());
  return Shape(ctx.integers(i));
}

PartialShape inferred_shape_operand(InferContext& ctx, int i) {
  if (auto dims = ctx.dims(i)) return PartialShape(*std::move(dims));
  const PartialShape& own = ctx.input_shape(i);
  if (own.known_rank() && own.rank() == 1 && own[0].known() && own[0].size() < 64) return ctx.fresh_shape(static_cast<int>(own[0].size()));
  return {};
}

// --- stateful

void infer_random(InferContext& ctx) {
  ctx.set_output(0, ctx.attrs().get_or<DataType>("dtype", DataType::kFloat32), inferred_shape_operand(ctx, 0));
}

template <Distribution kDistribution>
void evaluate_random(EvalContext& ctx) {
  Tensor& out = ctx.allocate(0, ctx.attrs().get<DataType>("dtype"), shape_operand(ctx, 0));
  fill_random(kDistribution, reserve_outputs(ctx, out.num_elements()), out, ctx.node().describe());
}

void infer_random_integers(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, ctx.input_dtype(1), inferred_shape_operand(ctx, 0));
}

void evaluate_random_integers(EvalContext& ctx) {
  Tensor& out = ctx.allocate(0, ctx.input(1).dtype(), shape_operand(ctx, 0));
  fill_random_integers(reserve_outputs(ctx, out.num_elements()), ctx.input(1), ctx.input(2), out, ctx.node().describe());
}

// Fisher and Yates, from the front.
std::vector<std::int64_t> permutation(std::int64_t size, Philox generator) {
  PhiloxWords words(generator);
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    std::swap(order[i], order[i + words() % static_cast<std::uint32_t>(order.size() - i)]);
  }
  return order;
}

void infer_shuffle(InferContext& ctx) { ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0)); }

void evaluate_shuffle(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  if (in.rank() == 0 || in.dim(0) <= 1 || in.num_elements() <= 1) return ctx.set_output(0, in);
  const std::int64_t rows = in.dim(0);
  if (rows > std::int64_t{1} << 31) ctx.fail_node("{} rows are too many to shuffle", rows);
  const std::vector<std::int64_t> order = permutation(rows, reserve(ctx, static_cast<std::uint64_t>(rows - 1 + 3) / 4));
  Tensor& out = ctx.allocate(0, in.dtype(), in.shape());
  const std::int64_t row = in.num_elements() / rows;
  for (std::int64_t i = 0; i < rows; ++i) copy_elements(out, i * row, in, order[static_cast<std::size_t>(i)] * row, row);
}

void infer_multinomial(InferContext& ctx) {
  const PartialShape& logits = ctx.input_shape(0);
  const auto samples = ctx.constant_integers(1);
  const Dim rows = logits.known_rank() && logits.rank() == 2 ? logits[0] : ctx.fresh();
  const Dim columns = samples && samples->size() == 1 && (*samples)[0] >= 0 ? Dim((*samples)[0]) : ctx.fresh();
  ctx.set_output(0, ctx.attrs().get_or<DataType>("output_dtype", DataType::kInt64), PartialShape{rows, columns});
}

Tensor& allocate_classes(EvalContext& ctx) {
  const Tensor& logits = ctx.input(0);
  const std::int64_t samples = ctx.integer(1);
  if (logits.rank() != 2 || samples < 0) ctx.fail_node("logits are {}, the number of samples {}", logits.describe(), samples);
  if (logits.dim(1) == 0 && logits.dim(0) > 0) ctx.fail_node("logits {} have no classes", logits.describe());
  const auto type = ctx.attrs().get_or<DataType>("output_dtype", DataType::kInt64);
  if (type != DataType::kInt32 && type != DataType::kInt64) ctx.fail_node("output_dtype is {}", dtype_name(type));
  return ctx.allocate(0, type, {logits.dim(0), samples});
}

void evaluate_multinomial(EvalContext& ctx) {
  Tensor& out = allocate_classes(ctx);
  const std::int64_t per_row = (out.dim(1) + 3) / 4 * 4 * 2;
  fill_categorical(reserve_outputs(ctx, out.dim(0) * per_row), ctx.input(0), out, ctx.node().describe());
}

// shape, parameters -> [shape..., parameters...]
void infer_per_parameter(InferContext& ctx) {
  const PartialShape samples = inferred_shape_operand(ctx, 0);
  const PartialShape& parameters = ctx.input_shape(1);
  PartialShape shape;
  if (samples.known_rank() && parameters.known_rank()) {
    std::vector<Dim> dims = samples.dims();
    dims.insert(dims.end(), parameters.dims().begin(), parameters.dims().end());
    shape = PartialShape(std::move(dims));
  }
  ctx.set_output(0, ctx.attrs().get_or<DataType>("dtype", ctx.input_dtype(1)), std::move(shape));
}

template <auto kFill>
void evaluate_per_parameter(EvalContext& ctx) {
  const Tensor& parameters = ctx.input(1);
  std::vector<std::int64_t> dims = shape_operand(ctx, 0).dims();
  dims.insert(dims.end(), parameters.shape().begin(), parameters.shape().end());
  Tensor& out = ctx.allocate(0, ctx.attrs().get_or<DataType>("dtype", parameters.dtype()), Shape(std::move(dims)));
  kFill(reserve_outputs(ctx, out.num_elements()), parameters, out, ctx.node().describe());
}

// --- stateless

Philox seed_operand(const EvalContext& ctx, int i) {
  const std::vector<std::int64_t> seed = ctx.integers(i);
  if (seed.size() != 2) ctx.fail_node("the seed must have two numbers, it is {}", ctx.input(i).describe());
  return Philox::from_stateless_seed(static_cast<std::uint64_t>(seed[0]), static_cast<std::uint64_t>(seed[1]));
}

// Operands key uint64[1], counter uint64[2 or more], algorithm int32.
Philox key_operands(const EvalContext& ctx, int first) {
  const Tensor& key = ctx.input(first);
  const Tensor& counter = ctx.input(first + 1);
  if (key.dtype() != DataType::kUInt64 || key.num_elements() != 1 || counter.dtype() != DataType::kUInt64 || counter.num_elements() < 2) {
    ctx.fail_node("the key is {}, the counter {}", key.describe(), counter.describe());
  }
  const std::int64_t algorithm = ctx.integer(first + 2);
  if (algorithm == kThreeFryAlgorithm) fail(ErrorCode::kUnsupported, "{}: only the Philox generator is implemented", ctx.node().describe());
  if (algorithm < 1 || algorithm > 3) ctx.fail_node("algorithm {} is not known", algorithm);
  return Philox::from_key_counter(key.flat<std::uint64_t>()[0], counter.flat<std::uint64_t>()[0], counter.flat<std::uint64_t>()[1]);
}

// shape, seed (version 1) or shape, key, counter, algorithm (version 2); then what the op has besides.
template <bool kKeyed>
Philox generator_operands(const EvalContext& ctx) {
  return kKeyed ? key_operands(ctx, 1) : seed_operand(ctx, 1);
}

template <Distribution kDistribution, bool kKeyed>
void evaluate_stateless(EvalContext& ctx) {
  Tensor& out = ctx.allocate(0, ctx.attrs().get_or<DataType>("dtype", DataType::kFloat32), shape_operand(ctx, 0));
  fill_random(kDistribution, generator_operands<kKeyed>(ctx), out, ctx.node().describe());
}

template <bool kKeyed>
void infer_stateless_integers(InferContext& ctx) {
  ctx.set_output(0, ctx.input_dtype(kKeyed ? 4 : 2), inferred_shape_operand(ctx, 0));
}

template <bool kKeyed>
void evaluate_stateless_integers(EvalContext& ctx) {
  const int low = kKeyed ? 4 : 2;
  Tensor& out = ctx.allocate(0, ctx.input(low).dtype(), shape_operand(ctx, 0));
  fill_random_integers(generator_operands<kKeyed>(ctx), ctx.input(low), ctx.input(low + 1), out, ctx.node().describe());
}

template <bool kKeyed>
void evaluate_stateless_bits(EvalContext& ctx) {
  const auto type = ctx.attrs().get_or<DataType>("dtype", DataType::kUInt64);
  Tensor& out = ctx.allocate(0, type, shape_operand(ctx, 0));
  fill_random_bits(generator_operands<kKeyed>(ctx), out, ctx.node().describe());
}

void evaluate_stateless_multinomial(EvalContext& ctx) {
  fill_categorical(seed_operand(ctx, 2), ctx.input(0), allocate_classes(ctx), ctx.node().describe());
}

void infer_key_counter(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, DataType::kUInt64, Shape{1});
  ctx.set_output(1, DataType::kUInt64, Shape{2});
}

void evaluate_key_counter(EvalContext& ctx) {
  const Philox generator = seed_operand(ctx, 0);
  ctx.allocate(0, DataType::kUInt64, {1}).flat<std::uint64_t>()[0] = generator.key();
  const auto counter = ctx.allocate(1, DataType::kUInt64, {2}).flat<std::uint64_t>();
  for (int i = 0; i < 2; ++i) counter[static_cast<std::size_t>(i)] = generator.counter(i);
}

void infer_key_counter_algorithm(InferContext& ctx) {
  infer_key_counter(ctx);
  ctx.set_output(2, DataType::kInt32, Shape{});
}

void evaluate_key_counter_algorithm(EvalContext& ctx) {
  evaluate_key_counter(ctx);
  ctx.set_output(2, Tensor::scalar(kPhiloxAlgorithm));
}

void infer_algorithm(InferContext& ctx) { ctx.set_output(0, DataType::kInt32, Shape{}); }
void evaluate_algorithm(EvalContext& ctx) { ctx.set_output(0, Tensor::scalar(kPhiloxAlgorithm)); }

// TensorFlow's names for the result type differ from op to op.
void rename_type(ir::Attrs& attrs, const char* name) {
  if (const ir::AttrValue* value = attrs.find(name)) attrs.set("dtype", ir::AttrValue(*value));
}
void type_from_t(ir::Attrs& attrs) { rename_type(attrs, "T"); }

constexpr ir::OpDef kOps[] = {
    {"random_uniform", infer_random, evaluate_random<Distribution::kUniform>, ir::kStateful},
    {"random_normal", infer_random, evaluate_random<Distribution::kNormal>, ir::kStateful},
    {"random_truncated_normal", infer_random, evaluate_random<Distribution::kTruncatedNormal>, ir::kStateful},
    {"random_uniform_int", infer_random_integers, evaluate_random_integers, ir::kStateful},
    {"random_shuffle", infer_shuffle, evaluate_shuffle, ir::kStateful},
    {"random_gamma", infer_per_parameter, evaluate_per_parameter<fill_gamma>, ir::kStateful},
    {"random_poisson", infer_per_parameter, evaluate_per_parameter<fill_poisson>, ir::kStateful},
    {"multinomial", infer_multinomial, evaluate_multinomial, ir::kStateful},
    {"stateless_random_uniform", infer_random, evaluate_stateless<Distribution::kUniform, false>},
    {"stateless_random_normal", infer_random, evaluate_stateless<Distribution::kNormal, false>},
    {"stateless_random_truncated_normal", infer_random, evaluate_stateless<Distribution::kTruncatedNormal, false>},
    {"stateless_random_uniform_int", infer_stateless_integers<false>, evaluate_stateless_integers<false>},
    {"stateless_random_bits", infer_random, evaluate_stateless_bits<false>},
    {"stateless_random_uniform_v2", infer_random, evaluate_stateless<Distribution::kUniform, true>},
    {"stateless_random_normal_v2", infer_random, evaluate_stateless<Distribution::kNormal, true>},
    {"stateless_random_truncated_normal_v2", infer_random, evaluate_stateless<Distribution::kTruncatedNormal, true>},
    {"stateless_random_uniform_int_v2", infer_stateless_integers<true>, evaluate_stateless_integers<true>},
    {"stateless_random_bits_v2", infer_random, evaluate_stateless_bits<true>},
    {"stateless_multinomial", infer_multinomial, evaluate_stateless_multinomial},
    {"stateless_random_key_counter", infer_key_counter, evaluate_key_counter},
    {"stateless_random_key_counter_algorithm", infer_key_counter_algorithm, evaluate_key_counter_algorithm},
    {"stateless_random_algorithm", infer_algorithm, evaluate_algorithm},
};

constexpr ImportRule kRules[] = {
    {"RandomUniform", "random_uniform"},
    {"RandomStandardNormal", "random_normal"},
    {"TruncatedNormal", "random_truncated_normal"},
    {"RandomUniformInt", "random_uniform_int"},
    {"RandomShuffle", "random_shuffle"},
    {"RandomGamma", "random_gamma", type_from_t},
    {"RandomPoisson", "random_poisson"},
    {"RandomPoissonV2", "random_poisson"},
    {"Multinomial", "multinomial"},
    {"StatelessRandomUniform", "stateless_random_uniform"},
    {"StatelessRandomNormal", "stateless_random_normal"},
    {"StatelessTruncatedNormal", "stateless_random_truncated_normal"},
    {"StatelessRandomUniformInt", "stateless_random_uniform_int"},
    {"StatelessRandomUniformFullInt", "stateless_random_bits"},
    {"StatelessRandomUniformV2", "stateless_random_uniform_v2"},
    {"StatelessRandomNormalV2", "stateless_random_normal_v2"},
    {"StatelessTruncatedNormalV2", "stateless_random_truncated_normal_v2"},
    {"StatelessRandomUniformIntV2", "stateless_random_uniform_int_v2"},
    {"StatelessRandomUniformFullIntV2", "stateless_random_bits_v2"},
    {"StatelessMultinomial", "stateless_multinomial"},
    {"StatelessRandomGetKeyCounter", "stateless_random_key_counter"},
    {"StatelessRandomGetKeyCounterAlg", "stateless_random_key_counter_algorithm"},
    {"StatelessRandomGetAlg", "stateless_random_algorithm"},
};

}  // namespace

const OpFamily& random_family() {
  static const OpFamily family{"random", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
