// LSTM and GRU cells as one op.
#include <algorithm>
#include <array>
#include <cmath>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
using CellTypes = TypeList<float, Half>;

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

std::vector<float> floats(const Tensor& tensor) {
  std::vector<float> values;
  visit_dtype(CellTypes{}, tensor.dtype(), "recurrent cell", [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto from = tensor.flat<T>();
    values.assign(from.begin(), from.end());
  });
  return values;
}

// rows [batch, columns] = [a | b] w + bias, w [width of a + width of b, columns].
std::vector<double> affine(const float* a, std::int64_t a_width, const float* b, std::int64_t b_width, std::int64_t batch,
                           const std::vector<float>& w, const std::vector<float>& bias) {
  const auto columns = static_cast<std::int64_t>(bias.size());
  std::vector<double> result(static_cast<std::size_t>(batch * columns));
  for (std::int64_t row = 0; row < batch; ++row) {
    double* to = result.data() + row * columns;
    std::copy(bias.begin(), bias.end(), to);
    for (std::int64_t k = 0; k < a_width + b_width; ++k) {
      const double value = k < a_width ? a[row * a_width + k] : b[row * b_width + k - a_width];
      const float* weights = w.data() + k * columns;
      for (std::int64_t c = 0; c < columns; ++c) to[c] += value * weights[c];
    }
  }
  return result;
}

// The operands of an LSTM after x: state, output, w [inputs + cells, 4 * cells], peepholes wci, wcf, wco [cells], b [4 *
// cells].
struct Lstm {
  std::int64_t inputs = 0, cells = 0, batch = 0;
  std::vector<float> state, output, w, wci, wcf, wco, b;
  double forget_bias = 1, clip = 0;
  bool peephole = false;
  int gate_of_cell = 1, gate_of_forget = 2;  // in w: input, cell, forget, output, or input, forget, cell, output
};

// i, cs, f, o, ci, co, h: what one step gives, [batch, cells] each.
using LstmStep = std::array<std::vector<float>, 7>;

LstmStep step(const Lstm& lstm, const float* x, const std::vector<float>& state, const std::vector<float>& output) {
  const std::vector<double> gates = affine(x, lstm.inputs, output.data(), lstm.cells, lstm.batch, lstm.w, lstm.b);
  LstmStep result;
  for (auto& values : result) values.resize(static_cast<std::size_t>(lstm.batch * lstm.cells));
  auto& [i, cs, f, o, ci, co, h] = result;
  for (std::int64_t at = 0; at < lstm.batch * lstm.cells; ++at) {
    const auto n = static_cast<std::size_t>(at);
    const std::int64_t cell = at % lstm.cells;
    const auto c = static_cast<std::size_t>(cell);
    const auto gate = [&](int g) { return gates[static_cast<std::size_t>((at / lstm.cells * 4 + g) * lstm.cells + cell)]; };
    const double previous = state[n];
    const double in = sigmoid(gate(0) + (lstm.peephole ? previous * lstm.wci[c] : 0.0));
    const double candidate = std::tanh(gate(lstm.gate_of_cell));
    const double forget =
        sigmoid(gate(lstm.gate_of_forget) + lstm.forget_bias + (lstm.peephole ? previous * lstm.wcf[c] : 0.0));
    double next = candidate * in + previous * forget;
    if (lstm.clip > 0) next = std::clamp(next, -lstm.clip, lstm.clip);
    const double out = sigmoid(gate(3) + (lstm.peephole ? next * lstm.wco[c] : 0.0));
    i[n] = static_cast<float>(in);
    cs[n] = static_cast<float>(next);
    f[n] = static_cast<float>(forget);
    o[n] = static_cast<float>(out);
    ci[n] = static_cast<float>(candidate);
    co[n] = static_cast<float>(std::tanh(next));
    h[n] = static_cast<float>(out * std::tanh(next));
  }
  return result;
}

// Reads the operands from `first` (state) on and checks that they fit each other.
Lstm read_lstm(const EvalContext& ctx, int first, std::int64_t batch, std::int64_t inputs) {
  Lstm lstm;
  lstm.batch = batch;
  lstm.inputs = inputs;
  expect_rank(ctx, first, 2);
  lstm.cells = ctx.input(first).dim(1);
  const Shape row{lstm.cells};
  const Shape wanted[] = {
      Shape{batch, lstm.cells}, Shape{batch, lstm.cells}, Shape{inputs + lstm.cells, 4 * lstm.cells}, row, row, row,
      Shape{4 * lstm.cells}};
  std::vector<float>* const to[] = {&lstm.state, &lstm.output, &lstm.w, &lstm.wci, &lstm.wcf, &lstm.wco, &lstm.b};
  for (int i = 0; i < 7; ++i) {
    const Tensor& operand = ctx.input(first + i);
    if (operand.shape() != wanted[i])
      ctx.fail_node("input {} is {}, shape {} is needed", first + i, operand.describe(), wanted[i].to_string());
    *to[i] = floats(operand);
  }
  const bool second = ctx.attrs().get_or<bool>("gates_ifco", false);
  lstm.forget_bias = second ? 0.0f : ctx.attrs().get_or<float>("forget_bias", 1.0f);
  lstm.clip = ctx.attrs().get_or<float>("cell_clip", second ? 0.0f : 3.0f);
  lstm.peephole = ctx.attrs().get_or<bool>("use_peephole", false);
  if (second) std::swap(lstm.gate_of_cell, lstm.gate_of_forget);
  return lstm;
}

void store(Tensor& to, std::int64_t start, const std::vector<float>& values) {
  visit_dtype(CellTypes{}, to.dtype(), "recurrent cell", [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::ranges::transform(values, to.flat<T>().begin() + start, [](float value) { return static_cast<T>(value); });
  });
}

// lstm_block_cell: x [batch, inputs], then as Lstm says. Outputs i, cs, f, o, ci, co, h.
void infer_lstm_block_cell(InferContext& ctx) {
  ctx.expect_inputs(8);
  for (int i = 0; i < 3; ++i) ctx.expect_rank(i, 2);
  const PartialShape shape = ctx.input_shape(1).known_rank() ? ctx.input_shape(1) : ctx.fresh_shape(2);
  for (int i = 0; i < 7; ++i) ctx.set_output(i, ctx.input_dtype(0), shape);
}

void evaluate_lstm_block_cell(EvalContext& ctx) {
  expect_rank(ctx, 0, 2);
  const Lstm lstm = read_lstm(ctx, 1, ctx.input(0).dim(0), ctx.input(0).dim(1));
  const LstmStep result = step(lstm, floats(ctx.input(0)).data(), lstm.state, lstm.output);
  for (int i = 0; i < 7; ++i) {
    store(ctx.allocate(i, ctx.input(0).dtype(), Shape{lstm.batch, lstm.cells}), 0, result[static_cast<std::size_t>(i)]);
  }
}

// block_lstm: number of steps that count, x [steps, batch, inputs], then as Lstm says. Outputs as lstm_block_cell's, [steps,
// batch, cells] each, zero after the steps that count.
void infer_block_lstm(InferContext& ctx) {
  ctx.expect_inputs(9);
  ctx.expect_rank(1, 3);
  ctx.expect_rank(2, 2);
  PartialShape shape = ctx.input_shape(1).known_rank() ? ctx.input_shape(1) : ctx.fresh_shape(3);
  shape[2] = ctx.input_shape(2).known_rank() ? ctx.input_shape(2)[1] : ctx.fresh();
  for (int i = 0; i < 7; ++i) ctx.set_output(i, ctx.input_dtype(1), shape);
}

void evaluate_block_lstm(EvalContext& ctx) {
  expect_rank(ctx, 0, 0);
  expect_rank(ctx, 1, 3);
  const std::int64_t steps = ctx.input(1).dim(0), counted = ctx.integer(0);
  if (counted < 0 || counted > steps) ctx.fail_node("seq_len_max is {}, outside [0, {}]", counted, steps);
  const Lstm lstm = read_lstm(ctx, 2, ctx.input(1).dim(1), ctx.input(1).dim(2));
  const std::vector<float> x = floats(ctx.input(1));
  for (int i = 0; i < 7; ++i) set_zero(ctx.allocate(i, ctx.input(1).dtype(), Shape{steps, lstm.batch, lstm.cells}));
  std::vector<float> state = lstm.state, output = lstm.output;
  for (std::int64_t t = 0; t < counted; ++t) {
    LstmStep result = step(lstm, x.data() + t * lstm.batch * lstm.inputs, state, output);
    for (int i = 0; i < 7; ++i) store(ctx.output(i), t * lstm.batch * lstm.cells, result[static_cast<std::size_t>(i)]);
    state = std::move(result[1]);
    output = std::move(result[6]);
  }
}

// gru_block_cell: x [batch, inputs], h [batch, cells], w_ru [inputs + cells, 2 * cells], w_c [inputs + cells, cells], b_ru,
// b_c. Outputs r, u, c, h.
void infer_gru_block_cell(InferContext& ctx) {
  ctx.expect_inputs(6);
  for (int i = 0; i < 4; ++i) ctx.expect_rank(i, 2);
  const PartialShape shape = ctx.input_shape(1).known_rank() ? ctx.input_shape(1) : ctx.fresh_shape(2);
  for (int i = 0; i < 4; ++i) ctx.set_output(i, ctx.input_dtype(0), shape);
}

void evaluate_gru_block_cell(EvalContext& ctx) {
  expect_rank(ctx, 0, 2);
  expect_rank(ctx, 1, 2);
  const std::int64_t batch = ctx.input(0).dim(0), inputs = ctx.input(0).dim(1), cells = ctx.input(1).dim(1);
  const Shape wanted[] = {Shape{batch, cells}, Shape{inputs + cells, 2 * cells}, Shape{inputs + cells, cells},
                          Shape{2 * cells}, Shape{cells}};
  std::vector<float> operands[6];
  operands[0] = floats(ctx.input(0));
  for (int i = 1; i < 6; ++i) {
    if (ctx.input(i).shape() != wanted[i - 1])
      ctx.fail_node("input {} is {}, shape {} is needed", i, ctx.input(i).describe(), wanted[i - 1].to_string());
    operands[i] = floats(ctx.input(i));
  }
  const auto& [x, h, w_ru, w_c, b_ru, b_c] = operands;
  const auto count = static_cast<std::size_t>(batch * cells);
  std::vector<float> r(count), u(count), c(count), next(count), reset(count);
  const std::vector<double> gates = affine(x.data(), inputs, h.data(), cells, batch, w_ru, b_ru);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = i / static_cast<std::size_t>(cells), cell = i % static_cast<std::size_t>(cells),
                      width = static_cast<std::size_t>(cells);
    r[i] = static_cast<float>(sigmoid(gates[row * 2 * width + cell]));
    u[i] = static_cast<float>(sigmoid(gates[row * 2 * width + width + cell]));
    reset[i] = r[i] * h[i];
  }
  const std::vector<double> candidates = affine(x.data(), inputs, reset.data(), cells, batch, w_c, b_c);
  for (std::size_t i = 0; i < count; ++i) {
    c[i] = static_cast<float>(std::tanh(candidates[i]));
    next[i] = u[i] * h[i] + (1 - u[i]) * c[i];
  }
  const std::vector<float>* const results[] = {&r, &u, &c, &next};
  for (int i = 0; i < 4; ++i) store(ctx.allocate(i, ctx.input(0).dtype(), Shape{batch, cells}), 0, *results[i]);
}

void gates_ifco(ir::Attrs& attrs) { attrs.set("gates_ifco", true); }

constexpr ir::OpDef kOps[] = {
    {"lstm_block_cell", infer_lstm_block_cell, evaluate_lstm_block_cell},
    {"block_lstm", infer_block_lstm, evaluate_block_lstm},
    {"gru_block_cell", infer_gru_block_cell, evaluate_gru_block_cell},
};

constexpr ImportRule kRules[] = {
    {"LSTMBlockCell", "lstm_block_cell"},
    {"BlockLSTM", "block_lstm"},
    {"BlockLSTMV2", "block_lstm", gates_ifco},
    {"GRUBlockCell", "gru_block_cell"},
};

}  // namespace

const OpFamily& recurrent_family() {
  static const OpFamily family{"recurrent", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
