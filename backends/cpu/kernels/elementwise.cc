#include "backends/cpu/kernels/elementwise.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "backends/cpu/kernels/cast.h"
#include "backends/cpu/kernels/elementwise_steps.h"
#include "backends/cpu/kernels/shares.h"
#include "backends/cpu/kernels/strides.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

constexpr int kMaxSlots = 24;
constexpr int64_t kBlock = 512;    // floats of one slot: a few slots fit the L1 cache
constexpr int64_t kLongRow = 256;  // rows at least this long are blocks of their own
constexpr int64_t kShortRun = 16;  // runs too short for a call
constexpr int64_t kSlot = kBlock + kShortRun;
constexpr size_t kMaxOperands = 64;
constexpr int kNever = INT32_MAX / 2;  // "alive until the block ends"

// How a block of an operand gets to its slot and back.
enum class Access : uint8_t {
  kDirect,  // the slot points into the operand's memory
  kOnce,    // the same for every block: filled once per share
  kRuns,    // copied run by run
};

struct Operand {
  DataType dtype = DataType::kFloat32;
  int64_t size = 4;
  std::vector<int64_t> strides;
  Access access = Access::kRuns;
  int slot = 0;
  CastFunction convert = nullptr;  // to float for inputs, from float for outputs
};

bool is_scalar(const std::vector<int64_t>& strides) {
  return std::all_of(strides.begin(), strides.end(), [](int64_t s) { return s == 0; });
}

// The length after which an operand repeats: the size of its dense inner part below dimensions with stride 0; 0 where it is
// not of this form.
int64_t period_of(const std::vector<int64_t>& dims, const std::vector<int64_t>& strides) {
  int64_t period = 1;
  size_t d = dims.size();
  for (; d > 0 && strides[d - 1] == period; --d) period *= dims[d - 1];
  for (size_t outer = 0; outer < d; ++outer) {
    if (strides[outer] != 0) return 0;
  }
  return period;
}

// Rough nanoseconds per element on one core.
double cost_of(VectorOp op) {
  if (op == VectorOp::kPow || op == VectorOp::kFloorMod || op == VectorOp::kTruncMod || op == VectorOp::kAtan2) return 10;
  if (op >= VectorOp::kTan && op <= VectorOp::kAtanh) return 8;
  if (op >= VectorOp::kExp && op <= VectorOp::kCos) return 0.3;
  if (op >= VectorOp::kTanh && op <= VectorOp::kSwish) return 0.3;
  if (op == VectorOp::kMish) return 1;
  return 0.05;
}

void check_program(const VectorProgram& program) {
  for (size_t i = 0; i < program.code.size(); ++i) {
    const VectorInstruction& step = program.code[i];
    const int limit = program.inputs + static_cast<int>(i);
    const int operands[3] = {step.a, step.b, step.c};
    for (int k = 0; k < operand_count(step.op); ++k) TENON_CHECK(operands[k] >= 0 && operands[k] < limit);
  }
  for (int value : program.outputs) {
    TENON_CHECK(value >= 0 && value < program.inputs + static_cast<int>(program.code.size()));
  }
}

void gather(const Operand& operand, const char* from, int64_t stride, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) operand.convert(from + i * stride * operand.size, to + i, 1);
}

// Loads `count` elements `stride` apart as floats.
void load_run(const Operand& operand, const void* base, int64_t offset, int64_t stride, int64_t count, float* to) {
  const char* from = static_cast<const char*>(base) + offset * operand.size;
  if (operand.dtype == DataType::kFloat32 && count <= kShortRun) {
    const float* floats = reinterpret_cast<const float*>(from);
    if (stride == 0) {
      for (int64_t i = 0; i < kShortRun; ++i) to[i] = floats[0];  // a fixed count is faster; slots have room
      return;
    }
    for (int64_t i = 0; i < count; ++i) to[i] = floats[i * stride];
    return;
  }
  if (stride == 1) return operand.convert(from, to, count);
  if (stride == 0) {
    operand.convert(from, to, 1);
    std::fill_n(to + 1, count - 1, to[0]);
    return;
  }
  if (operand.dtype != DataType::kFloat32) return gather(operand, from, stride, count, to);
  const float* floats = reinterpret_cast<const float*>(from);
  for (int64_t i = 0; i < count; ++i) to[i] = floats[i * stride];
}

void store_run(const Operand& operand, void* base, int64_t offset, int64_t stride, int64_t count, const float* from) {
  char* to = static_cast<char*>(base) + offset * operand.size;
  if (stride == 1) return operand.convert(from, to, count);
  for (int64_t i = 0; i < count; ++i) operand.convert(from + i, to + i * stride * operand.size, 1);
}

}  // namespace

int operand_count(VectorOp op) noexcept {
  if (op == VectorOp::kConstant) return 0;
  if (op < VectorOp::kAdd) return 1;
  return op < VectorOp::kSelect ? 2 : 3;
}

std::vector<int64_t> broadcast_strides(std::span<const int64_t> from, std::span<const int64_t> to) {
  TENON_CHECK(from.size() <= to.size());
  std::vector<int64_t> strides(to.size(), 0);
  const std::vector<int64_t> dense = dense_strides(from);
  const size_t shift = to.size() - from.size();
  for (size_t d = 0; d < from.size(); ++d) {
    TENON_CHECK(from[d] == to[d + shift] || from[d] == 1);
    if (from[d] != 1) strides[d + shift] = dense[d];
  }
  return strides;
}

struct Elementwise::Plan {
  std::vector<int64_t> dims;  // merged
  std::vector<Operand> inputs, outputs;
  std::vector<ElementwiseStep> constants;  // done once per share
  std::vector<ElementwiseStep> steps;
  int slots = 0;
  bool rows = false;  // blocks lie within rows; else anywhere in the flattened loop
  int64_t row = 1;    // length of a row; the whole loop when flattened
  int64_t block = kBlock;
  int64_t blocks_per_row = 1;
  Shares shares;  // of blocks
  StepsFunction* run_steps = nullptr;

  void merge(std::span<const int64_t> dims_given, std::span<const ElementwiseOperand> ins,
             std::span<const ElementwiseOperand> outs);
  void choose_blocks();
  void choose_access();
  bool direct_when_flat(const Operand& operand) const;
  void assign_slots(const VectorProgram& program);
  void run_share(int64_t begin, int64_t end, const void* const* ins, void* const* outs) const;

  struct Cursor;
  // Pointers per slot: to its own memory, and to where it lies in the present block.
  struct Slots {
    float* const* own;
    float** now;
  };
  void place(Cursor& cursor, int64_t row_index) const;
  void advance(Cursor& cursor) const;
  void load_once(const void* const* ins, float* const* own) const;
  void run_in_row(const Cursor& cursor, int64_t in_row, int64_t count, bool new_row, const void* const* ins,
                  void* const* outs, const Slots& slot) const;
  void run_flat(int64_t at, int64_t count, const void* const* ins, void* const* outs, const Slots& slot) const;
};

void Elementwise::Plan::merge(std::span<const int64_t> dims_given, std::span<const ElementwiseOperand> ins,
                              std::span<const ElementwiseOperand> outs) {
  std::vector<std::vector<int64_t>> strides;
  for (const auto& operand : ins) strides.push_back(operand.strides);
  for (const auto& operand : outs) strides.push_back(operand.strides);
  StridedLoop loop = merge_dimensions(dims_given, strides);
  dims = std::move(loop.dims);
  const auto take = [&](const ElementwiseOperand& given, size_t index, bool input) {
    Operand operand;
    operand.dtype = given.dtype;
    operand.size = static_cast<int64_t>(dtype_size(given.dtype));
    operand.strides = std::move(loop.strides[index]);
    operand.convert =
        input ? cast_function(given.dtype, DataType::kFloat32) : cast_function(DataType::kFloat32, given.dtype);
    TENON_CHECK(operand.convert != nullptr);
    return operand;
  };
  for (size_t i = 0; i < ins.size(); ++i) inputs.push_back(take(ins[i], i, true));
  for (size_t i = 0; i < outs.size(); ++i) outputs.push_back(take(outs[i], ins.size() + i, false));
}

bool Elementwise::Plan::direct_when_flat(const Operand& operand) const {
  return operand.strides == dense_strides(dims) && operand.dtype == DataType::kFloat32;
}

// Rows where an operand that is neither dense nor short and periodic has long inner runs; else a flat loop, whose blocks
// hold whole periods.
void Elementwise::Plan::choose_blocks() {
  int64_t total = 1, period = 1;
  for (int64_t dim : dims) total *= dim;
  const int64_t inner = dims.back();
  const auto look = [&](const Operand& operand) {
    const int64_t repeat = is_scalar(operand.strides) ? 1 : period_of(dims, operand.strides);
    if (repeat == total) return;
    if (repeat != 0 && repeat <= kBlock) {
      period = std::max(period, repeat);
    } else if (inner >= kLongRow) {
      rows = true;
    }
  };
  for (const Operand& operand : inputs) look(operand);
  for (const Operand& operand : outputs) look(operand);
  row = rows ? inner : total;
  if (rows) {  // pieces of nearly equal length
    blocks_per_row = (inner + kBlock - 1) / kBlock;
    block = std::min(((inner + blocks_per_row - 1) / blocks_per_row + 15) / 16 * 16, inner);
  } else {
    block = kBlock / period * period;
  }
  blocks_per_row = (row + block - 1) / block;
}

void Elementwise::Plan::choose_access() {
  for (Operand& operand : inputs) {
    const int64_t repeat = is_scalar(operand.strides) ? 1 : period_of(dims, operand.strides);
    const bool direct =
        rows ? operand.strides.back() == 1 && operand.dtype == DataType::kFloat32 : direct_when_flat(operand);
    const bool once = is_scalar(operand.strides) || (!rows && repeat > 0 && repeat <= block && block % repeat == 0);
    operand.access = direct ? Access::kDirect : once ? Access::kOnce : Access::kRuns;
  }
  for (Operand& operand : outputs) {
    const bool direct =
        rows ? operand.strides.back() == 1 && operand.dtype == DataType::kFloat32 : direct_when_flat(operand);
    operand.access = direct ? Access::kDirect : Access::kRuns;
  }
}

// Inputs and constants keep their slots; other values share slots by lifetime. A value that is an output in plain floats is
// computed in place, unless an input is read later: that input may be the same memory.
void Elementwise::Plan::assign_slots(const VectorProgram& program) {
  const int values = program.inputs + static_cast<int>(program.code.size());
  std::vector<int> last_use(values, -1), slot_of(values, -1);
  int last_input_read = -1;
  for (size_t i = 0; i < program.code.size(); ++i) {
    const VectorInstruction& step = program.code[i];
    const int operands[3] = {step.a, step.b, step.c};
    for (int k = 0; k < operand_count(step.op); ++k) {
      last_use[operands[k]] = static_cast<int>(i);
      if (operands[k] < program.inputs) last_input_read = static_cast<int>(i);
    }
  }
  for (int value : program.outputs) {
    last_use[value] = kNever;
    if (value >= program.inputs) continue;
    last_input_read = kNever;
    inputs[value].access = Access::kRuns;  // a copy: the store of another output may overwrite its memory
  }
  std::vector<int> busy_until;  // per slot
  const auto take_slot = [&](int now, int until) {
    for (size_t s = 0; s < busy_until.size(); ++s) {
      if (busy_until[s] > now) continue;
      busy_until[s] = until;
      return static_cast<int>(s);
    }
    busy_until.push_back(until);
    return static_cast<int>(busy_until.size()) - 1;
  };
  for (int v = 0; v < program.inputs; ++v) inputs[v].slot = slot_of[v] = take_slot(-1, kNever);
  std::vector<bool> direct_done(outputs.size(), false);
  for (size_t i = 0; i < program.code.size(); ++i) {
    const VectorInstruction& step = program.code[i];
    const int now = static_cast<int>(i), value = program.inputs + now;
    int slot = -1;
    for (size_t o = 0; o < outputs.size() && slot < 0; ++o) {
      if (program.outputs[o] != value || outputs[o].access != Access::kDirect || now < last_input_read) continue;
      if (step.op == VectorOp::kConstant) continue;
      slot = take_slot(-1, kNever);
      outputs[o].slot = slot;
      direct_done[o] = true;
    }
    // An operand's slot may be reused by the result: steps read an element before they write it.
    if (slot < 0)
      slot = take_slot(step.op == VectorOp::kConstant ? -1 : now,
                       step.op == VectorOp::kConstant ? kNever : std::max(last_use[value], now));
    slot_of[value] = slot;
    const auto at = [&](int v) { return static_cast<uint8_t>(v < 0 ? 0 : slot_of[v]); };
    ElementwiseStep lowered{step.op, static_cast<uint8_t>(slot), at(step.a), at(step.b), at(step.c), step.p, step.q};
    (step.op == VectorOp::kConstant ? constants : steps).push_back(lowered);
  }
  for (size_t o = 0; o < outputs.size(); ++o) {
    if (direct_done[o]) continue;
    outputs[o].access = Access::kRuns;
    outputs[o].slot = slot_of[program.outputs[o]];
  }
  slots = static_cast<int>(busy_until.size());
  if (slots > kMaxSlots) fail(ErrorCode::kUnsupported, "elementwise: {} values alive at once, at most {}", slots, kMaxSlots);
}

// Where a share stands: in rows, the offset of every operand (inputs, then outputs) at the start of the row.
struct Elementwise::Plan::Cursor {
  std::array<int64_t, kMaxLoopRank> at{};
  std::array<int64_t, kMaxOperands> offset{};
};

void Elementwise::Plan::place(Cursor& cursor, int64_t row_index) const {
  for (size_t d = dims.size() - 1; d-- > 0;) {
    cursor.at[d] = row_index % dims[d];
    row_index /= dims[d];
    for (size_t k = 0; k < inputs.size(); ++k) cursor.offset[k] += cursor.at[d] * inputs[k].strides[d];
    for (size_t k = 0; k < outputs.size(); ++k) cursor.offset[inputs.size() + k] += cursor.at[d] * outputs[k].strides[d];
  }
}

void Elementwise::Plan::advance(Cursor& cursor) const {
  for (size_t d = dims.size() - 1; d-- > 0;) {
    const bool wraps = ++cursor.at[d] == dims[d];
    const int64_t steps = wraps ? 1 - dims[d] : 1;
    for (size_t k = 0; k < inputs.size(); ++k) cursor.offset[k] += steps * inputs[k].strides[d];
    for (size_t k = 0; k < outputs.size(); ++k) cursor.offset[inputs.size() + k] += steps * outputs[k].strides[d];
    if (!wraps) return;
    cursor.at[d] = 0;
  }
}

void Elementwise::Plan::load_once(const void* const* ins, float* const* own) const {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].access != Access::kOnce) continue;
    const int64_t length = rows ? block : std::min(block, row);
    const std::vector<int64_t>& strides = inputs[i].strides;
    if (is_scalar(strides)) {
      load_run(inputs[i], ins[i], 0, 0, length, own[inputs[i].slot]);
      continue;
    }
    walk_runs(dims, strides, 0, length, [&](int64_t offset, int64_t stride, int64_t done, int64_t count) {
      load_run(inputs[i], ins[i], offset, stride, count, own[inputs[i].slot] + done);
    });
  }
}

// `count` elements from `in_row` on in the row where the cursor stands.
void Elementwise::Plan::run_in_row(const Cursor& cursor, int64_t in_row, int64_t count, bool new_row, const void* const* ins,
                                   void* const* outs, const Slots& slot) const {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Operand& operand = inputs[i];
    const int64_t stride = operand.strides.back();
    if (operand.access == Access::kDirect) {
      slot.now[operand.slot] = const_cast<float*>(static_cast<const float*>(ins[i])) + cursor.offset[i] + in_row;
    } else if (operand.access == Access::kRuns && (stride != 0 || new_row)) {
      const int64_t length = stride == 0 ? block : count;  // a repeated element serves the whole row
      load_run(operand, ins[i], cursor.offset[i] + in_row * stride, stride, length, slot.own[operand.slot]);
    }
  }
  for (size_t o = 0; o < outputs.size(); ++o) {
    if (outputs[o].access != Access::kDirect) continue;
    slot.now[outputs[o].slot] = static_cast<float*>(outs[o]) + cursor.offset[inputs.size() + o] + in_row;
  }
  run_steps(steps.data(), static_cast<int64_t>(steps.size()), slot.now, count);
  for (size_t o = 0; o < outputs.size(); ++o) {
    if (outputs[o].access == Access::kDirect) continue;
    const int64_t stride = outputs[o].strides.back();
    store_run(outputs[o], outs[o], cursor.offset[inputs.size() + o] + in_row * stride, stride, count,
              slot.now[outputs[o].slot]);
  }
}

// `count` elements from `at` on in the flattened loop.
void Elementwise::Plan::run_flat(int64_t at, int64_t count, const void* const* ins, void* const* outs,
                                 const Slots& slot) const {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Operand& operand = inputs[i];
    if (operand.access == Access::kDirect) {
      slot.now[operand.slot] = const_cast<float*>(static_cast<const float*>(ins[i])) + at;
    } else if (operand.access == Access::kRuns) {
      float* to = slot.own[operand.slot];
      walk_runs(dims, operand.strides, at, count, [&](int64_t offset, int64_t stride, int64_t done, int64_t length) {
        load_run(operand, ins[i], offset, stride, length, to + done);
      });
    }
  }
  for (size_t o = 0; o < outputs.size(); ++o) {
    if (outputs[o].access == Access::kDirect) slot.now[outputs[o].slot] = static_cast<float*>(outs[o]) + at;
  }
  run_steps(steps.data(), static_cast<int64_t>(steps.size()), slot.now, count);
  for (size_t o = 0; o < outputs.size(); ++o) {
    if (outputs[o].access == Access::kDirect) continue;
    walk_runs(dims, outputs[o].strides, at, count, [&](int64_t offset, int64_t stride, int64_t done, int64_t length) {
      store_run(outputs[o], outs[o], offset, stride, length, slot.now[outputs[o].slot] + done);
    });
  }
}

void Elementwise::Plan::run_share(int64_t begin, int64_t end, const void* const* ins, void* const* outs) const {
  alignas(64) float memory[kMaxSlots * kSlot];
  std::array<float*, kMaxSlots> own, now;
  for (int s = 0; s < slots; ++s) own[s] = now[s] = memory + s * kSlot;
  const Slots slot{own.data(), now.data()};
  load_once(ins, own.data());
  run_steps(constants.data(), static_cast<int64_t>(constants.size()), now.data(), block);
  if (!rows) {
    for (int64_t b = begin; b < end; ++b) run_flat(b * block, std::min(block, row - b * block), ins, outs, slot);
    return;
  }
  Cursor cursor;
  place(cursor, begin / blocks_per_row);
  int64_t in_row = begin % blocks_per_row * block;
  bool new_row = true;
  for (int64_t b = begin; b < end; ++b) {
    run_in_row(cursor, in_row, std::min(block, row - in_row), new_row, ins, outs, slot);
    in_row += block;
    new_row = in_row >= row;
    if (!new_row) continue;
    in_row = 0;
    advance(cursor);
  }
}

bool Elementwise::supports(DataType dtype) noexcept { return cast_function(dtype, DataType::kFloat32) != nullptr; }

Elementwise::Elementwise(const VectorProgram& program, std::span<const int64_t> dims,
                         std::span<const ElementwiseOperand> inputs, std::span<const ElementwiseOperand> outputs) {
  check_program(program);
  TENON_CHECK(program.inputs == static_cast<int>(inputs.size()) && program.outputs.size() == outputs.size());
  if (inputs.size() + outputs.size() > kMaxOperands) {
    fail(ErrorCode::kUnsupported, "elementwise: {} operands, at most {}", inputs.size() + outputs.size(), kMaxOperands);
  }
  auto plan = std::make_unique<Plan>();
  plan->merge(dims, inputs, outputs);
  const int64_t total = [&] {
    int64_t product = 1;
    for (int64_t dim : dims) product *= dim;
    return product;
  }();
  if (total > 0) {
    plan->choose_blocks();
    plan->choose_access();
    plan->assign_slots(program);
    double cost = 0.1;
    for (const auto& operand : plan->inputs) cost += operand.access == Access::kRuns ? 0.3 : 0.05;
    for (const VectorInstruction& step : program.code) cost += cost_of(step.op);
    plan->shares =
        split_work(total / plan->row * plan->blocks_per_row, cost * static_cast<double>(std::min(plan->block, plan->row)));
  }
  plan->run_steps = elementwise_steps();
  plan_ = std::move(plan);
}

Elementwise::~Elementwise() = default;
Elementwise::Elementwise(Elementwise&&) noexcept = default;
Elementwise& Elementwise::operator=(Elementwise&&) noexcept = default;

void Elementwise::run(std::span<const void* const> inputs, std::span<void* const> outputs, ThreadTeam& team) const {
  TENON_CHECK(inputs.size() == plan_->inputs.size() && outputs.size() == plan_->outputs.size());
  for_shares(plan_->shares, team,
             [&](int64_t begin, int64_t end) { plan_->run_share(begin, end, inputs.data(), outputs.data()); });
}

}  // namespace tenon::cpu
