#include "backends/cpu/lowering/integer.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "backends/cpu/kernels/shares.h"
#include "backends/cpu/kernels/strides.h"
#include "backends/cpu/lowering/layout.h"
#include "base/error.h"
#include "ops/arithmetic.h"

namespace tenon::cpu {
namespace {

enum class IntegerOp {
  kAdd, kSub, kMul, kMaximum, kMinimum, kNeg, kSquare, kAbs, kFloorDiv, kTruncateDiv, kFloorMod, kTruncateMod, kAnd, kOr, kXor, kInvert,
  kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kSelect
};

struct IntegerOpName {
  std::string_view name;
  IntegerOp op;
};
constexpr IntegerOpName kOps[] = {
    {"add", IntegerOp::kAdd},
    {"sub", IntegerOp::kSub},
    {"mul", IntegerOp::kMul},
    {"maximum", IntegerOp::kMaximum},
    {"minimum", IntegerOp::kMinimum},
    {"neg", IntegerOp::kNeg},
    {"square", IntegerOp::kSquare},
    {"abs", IntegerOp::kAbs},
    {"floor_div", IntegerOp::kFloorDiv},
    {"div", IntegerOp::kTruncateDiv},
    {"truncate_div", IntegerOp::kTruncateDiv},
    {"floor_mod", IntegerOp::kFloorMod},
    {"truncate_mod", IntegerOp::kTruncateMod},
    {"bitwise_and", IntegerOp::kAnd},
    {"bitwise_or", IntegerOp::kOr},
    {"bitwise_xor", IntegerOp::kXor},
    {"invert", IntegerOp::kInvert},
    {"equal", IntegerOp::kEqual},
    {"not_equal", IntegerOp::kNotEqual},
    {"less", IntegerOp::kLess},
    {"less_equal", IntegerOp::kLessEqual},
    {"greater", IntegerOp::kGreater},
    {"greater_equal", IntegerOp::kGreaterEqual},
    {"select_v2", IntegerOp::kSelect},
};

const IntegerOpName* find(const ir::Node& node) {
  for (const IntegerOpName& known : kOps) {
    if (node.is(known.name)) return &known;
  }
  return nullptr;
}

DataType dtype_of(const ir::Node& node, std::size_t operand) {
  if (operand >= node.inputs.size()) return DataType::kInvalid;
  const ir::Value& value = node.inputs[operand];
  return value.node->outputs.at(static_cast<std::size_t>(value.index)).dtype;
}

bool is_integer(DataType dtype) { return dtype == DataType::kInt32 || dtype == DataType::kInt64; }

// The first operand that is a number: a selection's condition comes before.
std::size_t first_number(const ir::Node& node) { return node.is("select_v2") ? 1 : 0; }

// The loop with everything merged: result, then the operands.
struct IntegerLoop {
  StridedLoop loop;
  std::array<Slot, 4> slots{-1, -1, -1, -1};
  int operands = 0;
};

// Calls row(pointers to the first elements, strides along the row, length) for every innermost row.
template <class R, class A, class T, class Row>
void for_rows(const IntegerLoop& l, const Frame& frame, Row&& row) {
  const auto& dims = l.loop.dims;
  const std::size_t inner = dims.size() - 1;
  const std::int64_t length = dims[inner];
  const std::int64_t rows = length == 0 ? 0 : l.loop.size() / length;
  const auto stride = [&](int k, std::size_t d) { return l.loop.strides[static_cast<std::size_t>(k)][d]; };
  for_shares(split_work(rows, static_cast<double>(length)), *frame.team, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      std::array<std::int64_t, 4> offset{};
      std::int64_t rest = r;
      for (std::size_t d = inner; d-- > 0;) {
        const std::int64_t at = rest % dims[d];
        rest /= dims[d];
        for (int k = 0; k <= l.operands; ++k) offset[static_cast<std::size_t>(k)] += at * stride(k, d);
      }
      const auto last = [&](int k) { return k <= l.operands ? stride(k, inner) : 0; };
      const A* a = frame.at<const A>(l.slots[1]) + offset[1];
      const T* b = l.operands > 1 ? frame.at<const T>(l.slots[2]) + offset[2] : nullptr;
      const T* c = l.operands > 2 ? frame.at<const T>(l.slots[3]) + offset[3] : nullptr;
      row(frame.at<R>(l.slots[0]) + offset[0], a, b, c, last(0), last(1), last(2), last(3), length);
    }
  });
}

template <class R, class T, class F>
std::unique_ptr<Step> binary_step(IntegerLoop loop, F f) {
  return make_step([loop = std::move(loop), f](const Frame& frame) {
    for_rows<R, T, T>(loop, frame, [&](R* y, const T* a, const T* b, const T*, std::int64_t sy, std::int64_t sa, std::int64_t sb, std::int64_t, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) y[i * sy] = static_cast<R>(f(a[i * sa], b ? b[i * sb] : T{}));
    });
  });
}

// A divisor of zero is an error, found when the step is done.
template <class Op, class T>
std::unique_ptr<Step> division_step(IntegerLoop loop) {
  return make_step([loop = std::move(loop)](const Frame& frame) {
    std::atomic<bool> zero{false};
    for_rows<T, T, T>(loop, frame, [&](T* y, const T* a, const T* b, const T*, std::int64_t sy, std::int64_t sa, std::int64_t sb, std::int64_t, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) {
        const T divisor = b[i * sb];
        if (divisor == 0) zero.store(true, std::memory_order_relaxed);
        y[i * sy] = divisor == 0 ? T{0} : Op::template apply<T, T>(a[i * sa], divisor);
      }
    });
    if (zero.load(std::memory_order_relaxed)) fail(ErrorCode::kInvalidArgument, "integer division by zero");
  });
}

template <class T>
std::unique_ptr<Step> select_step(IntegerLoop loop) {
  return make_step([loop = std::move(loop)](const Frame& frame) {
    for_rows<T, bool, T>(loop, frame, [&](T* y, const bool* a, const T* b, const T* c, std::int64_t sy, std::int64_t sa, std::int64_t sb, std::int64_t sc, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) y[i * sy] = a[i * sa] ? b[i * sb] : c[i * sc];
    });
  });
}

// Arithmetic wraps, as TensorFlow's does.
template <class T>
std::unique_ptr<Step> make(IntegerOp op, IntegerLoop loop) {
  using U = std::make_unsigned_t<T>;
  const auto wrap = [](auto f) { return [f](T a, T b) { return static_cast<T>(f(static_cast<U>(a), static_cast<U>(b))); }; };
  switch (op) {
    case IntegerOp::kAdd:
      return binary_step<T, T>(std::move(loop), wrap([](U a, U b) { return a + b; }));
    case IntegerOp::kSub:
      return binary_step<T, T>(std::move(loop), wrap([](U a, U b) { return a - b; }));
    case IntegerOp::kMul:
      return binary_step<T, T>(std::move(loop), wrap([](U a, U b) { return a * b; }));
    case IntegerOp::kNeg:
      return binary_step<T, T>(std::move(loop), wrap([](U a, U) { return U{0} - a; }));
    case IntegerOp::kSquare:
      return binary_step<T, T>(std::move(loop), wrap([](U a, U) { return a * a; }));
    case IntegerOp::kAbs:
      return binary_step<T, T>(std::move(loop), wrap([](U a, U) { return static_cast<T>(a) < 0 ? U{0} - a : a; }));
    case IntegerOp::kFloorDiv:
      return division_step<ops::arithmetic::FloorDiv, T>(std::move(loop));
    case IntegerOp::kTruncateDiv:
      return division_step<ops::arithmetic::TruncateDiv, T>(std::move(loop));
    case IntegerOp::kFloorMod:
      return division_step<ops::arithmetic::FloorMod, T>(std::move(loop));
    case IntegerOp::kTruncateMod:
      return division_step<ops::arithmetic::TruncateMod, T>(std::move(loop));
    case IntegerOp::kAnd:
      return binary_step<T, T>(std::move(loop), [](T a, T b) { return a & b; });
    case IntegerOp::kOr:
      return binary_step<T, T>(std::move(loop), [](T a, T b) { return a | b; });
    case IntegerOp::kXor:
      return binary_step<T, T>(std::move(loop), [](T a, T b) { return a ^ b; });
    case IntegerOp::kInvert:
      return binary_step<T, T>(std::move(loop), [](T a, T) { return ~a; });
    case IntegerOp::kMaximum:
      return binary_step<T, T>(std::move(loop), [](T a, T b) { return std::max(a, b); });
    case IntegerOp::kMinimum:
      return binary_step<T, T>(std::move(loop), [](T a, T b) { return std::min(a, b); });
    case IntegerOp::kEqual:
      return binary_step<bool, T>(std::move(loop), [](T a, T b) { return a == b; });
    case IntegerOp::kNotEqual:
      return binary_step<bool, T>(std::move(loop), [](T a, T b) { return a != b; });
    case IntegerOp::kLess:
      return binary_step<bool, T>(std::move(loop), [](T a, T b) { return a < b; });
    case IntegerOp::kLessEqual:
      return binary_step<bool, T>(std::move(loop), [](T a, T b) { return a <= b; });
    case IntegerOp::kGreater:
      return binary_step<bool, T>(std::move(loop), [](T a, T b) { return a > b; });
    case IntegerOp::kGreaterEqual:
      return binary_step<bool, T>(std::move(loop), [](T a, T b) { return a >= b; });
    case IntegerOp::kSelect:
      return select_step<T>(std::move(loop));
  }
  return nullptr;
}

}  // namespace

bool is_integer_node(const ir::Node& node) { return find(node) != nullptr && is_integer(dtype_of(node, first_number(node))); }

Verdict supports_integer(const ir::Node& node) {
  const DataType dtype = dtype_of(node, first_number(node));
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const DataType wanted = i < first_number(node) ? DataType::kBool : dtype;
    if (dtype_of(node, i) != wanted) return Verdict::no(fmt::format("operand {} is {}", i, dtype_name(dtype_of(node, i))));
  }
  return Verdict::yes();
}

Lowered lower_integer(const ir::Node& node) {
  Lowered lowered;
  lowered.kernel = "integer elementwise";
  lowered.pitched_operands = Positions::all();
  lowered.pitched_results = {0};
  lowered.prepare = [op = find(node)->op, dtype = dtype_of(node, first_number(node))](PlanContext& ctx) {
    IntegerLoop loop;
    const Shape& shape = ctx.result().shape;
    std::vector<std::vector<std::int64_t>> strides = {place_strides(ctx.result())};
    loop.slots[0] = ctx.result().slot;
    loop.operands = ctx.num_operands();
    for (int i = 0; i < ctx.num_operands(); ++i) {
      strides.push_back(broadcast_place(ctx.operand(i), shape));
      loop.slots[static_cast<std::size_t>(i) + 1] = ctx.operand(i).slot;
    }
    loop.loop = merge_dimensions(shape.dims(), strides);
    return dtype == DataType::kInt32 ? make<std::int32_t>(op, std::move(loop)) : make<std::int64_t>(op, std::move(loop));
  };
  return lowered;
}

}  // namespace tenon::cpu
