// Numbers and tensors as strings, and strings as numbers.
#include <algorithm>
#include <cstdio>

#include "base/visit_dtype.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/element_text.h"
#include "ops/parse_number.h"
#include "ops/registry.h"
#include "ops/string_elements.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

constexpr std::int64_t kMaxWidth = 1 << 16;

// How as_string prints one number, in printf's terms.
struct NumberFormat {
  std::string flags_and_width;  // "%08.3"
  char float_conversion = 'f';

  template <class T>
  std::string print(T value) const {
    if constexpr (std::is_same_v<T, bool>) {
      return value ? "true" : "false";
    } else if constexpr (kIsComplex<T>) {
      return "(" + print(value.real()) + "," + print(value.imag()) + ")";
    } else if constexpr (kIsFloat<T>) {
      return call(flags_and_width + float_conversion, static_cast<double>(value));
    } else if constexpr (std::is_unsigned_v<T>) {
      return call(flags_and_width + "llu", static_cast<unsigned long long>(value));
    } else {
      return call(flags_and_width + "lld", static_cast<long long>(value));
    }
  }

 private:
  template <class V>
  static std::string call(const std::string& format, V value) {
    std::string text(static_cast<std::size_t>(std::snprintf(nullptr, 0, format.c_str(), value)), '\0');
    std::snprintf(text.data(), text.size() + 1, format.c_str(), value);
    return text;
  }
};

NumberFormat number_format(const EvalContext& ctx, DataType dtype) {
  const auto precision = ctx.attrs().get_or<std::int64_t>("precision", -1);
  const auto width = ctx.attrs().get_or<std::int64_t>("width", -1);
  const auto fill = ctx.attrs().get_or<std::string>("fill", "");
  const bool scientific = ctx.attrs().get_or<bool>("scientific", false);
  const bool shortest = ctx.attrs().get_or<bool>("shortest", false);
  const bool whole = visit_dtype(PlainTypes{}, dtype, ctx.node().describe(), [](auto tag) {
    using T = typename decltype(tag)::type;
    return std::is_integral_v<T>;
  });
  if (whole && (scientific || shortest || precision >= 0)) {
    ctx.fail_node("precision, scientific and shortest do not apply to {}", dtype_name(dtype));
  }
  if (scientific && shortest) ctx.fail_node("scientific and shortest exclude each other");
  if (fill.size() > 1 || (!fill.empty() && std::string_view(" +-0#").find(fill[0]) == std::string_view::npos)) {
    ctx.fail_node("fill \"{}\" is none of \" \", \"+\", \"-\", \"0\", \"#\"", fill);
  }
  if (width > kMaxWidth || precision > kMaxWidth) ctx.fail_node("width {} or precision {} is too large", width, precision);
  NumberFormat format;
  format.flags_and_width = "%" + fill;
  if (width > -1) format.flags_and_width += std::to_string(width);
  if (precision > -1) format.flags_and_width += "." + std::to_string(precision);
  format.float_conversion = shortest ? 'g' : scientific ? 'e' : 'f';
  return format;
}

void evaluate_as_string(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  if (in.dtype() == DataType::kString) return ctx.set_output(0, in);
  const NumberFormat format = number_format(ctx, in.dtype());
  Tensor& out = ctx.allocate(0, DataType::kString, in.shape());
  visit_dtype(PlainTypes{}, in.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto from = in.flat<T>();
    for (std::size_t i = 0; i < from.size(); ++i) out.flat<std::string>()[i] = format.print(from[i]);
  });
}

// --- string_format: a template whose placeholders become tensors

// Nested brackets; of more than 2 * `ends` parts only the first and last `ends` are shown; strings in quotes.
class TensorText {
 public:
  // A negative `ends` shows everything.
  TensorText(const Tensor& tensor, std::int64_t ends)
      : tensor_(tensor), ends_(ends < 0 ? tensor.num_elements() : std::min(ends, tensor.num_elements())) {}

  std::string text() {
    append(0, 0, tensor_.num_elements());
    return std::move(text_);
  }

 private:
  void append(int axis, std::int64_t start, std::int64_t count) {
    if (axis == tensor_.rank()) {
      const bool quoted = tensor_.dtype() == DataType::kString;
      text_ += quoted ? "\"" + element_text(tensor_, start) + "\"" : element_text(tensor_, start);
      return;
    }
    const std::int64_t size = tensor_.dim(axis);
    const std::int64_t each = size == 0 ? 0 : count / size;
    const bool innermost = axis + 1 == tensor_.rank();
    const bool cut = size > 2 * ends_;
    text_ += '[';
    for (std::int64_t i = 0; i < size; ++i) {
      if (cut && i == ends_) {
        separate(innermost, axis);
        text_ += "...";
        i = size - ends_;
        if (i == size) break;
      }
      if (i > 0) separate(innermost, axis);
      append(axis + 1, start + i * each, each);
    }
    text_ += ']';
  }

  void separate(bool innermost, int axis) {
    if (innermost) {
      text_ += ' ';
    } else {
      text_.append(static_cast<std::size_t>(tensor_.rank() - 1 - axis), '\n').append(static_cast<std::size_t>(axis + 1), ' ');
    }
  }

  const Tensor& tensor_;
  std::int64_t ends_;
  std::string text_;
};

void infer_string_format(InferContext& ctx) { ctx.set_output(0, DataType::kString, Shape{}); }

void evaluate_string_format(EvalContext& ctx) {
  const auto pattern = ctx.attrs().get_or<std::string>("template", "%s");
  const auto placeholder = ctx.attrs().get_or<std::string>("placeholder", "%s");
  const auto ends = ctx.attrs().get_or<std::int64_t>("summarize", 3);
  if (placeholder.empty()) ctx.fail_node("the placeholder is empty");
  std::string out;
  std::size_t at = 0;
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const std::size_t next = pattern.find(placeholder, at);
    if (next == std::string::npos) ctx.fail_node("template \"{}\" has {} placeholders for {} inputs", pattern, i, ctx.num_inputs());
    out += pattern.substr(at, next - at) + TensorText(ctx.input(i), ends).text();
    at = next + placeholder.size();
  }
  if (pattern.find(placeholder, at) != std::string::npos) {
    ctx.fail_node("template \"{}\" has more than {} placeholders", pattern, ctx.num_inputs());
  }
  ctx.set_output(0, Tensor::scalar(out + pattern.substr(at)));
}

void infer_string_to_number(InferContext& ctx) {
  ctx.set_output(0, ctx.attrs().get_or<DataType>("out_type", DataType::kFloat32), ctx.input_shape(0));
}

void evaluate_string_to_number(EvalContext& ctx) {
  const auto type = ctx.attrs().get_or<DataType>("out_type", DataType::kFloat32);
  using Types = TypeList<float, double, std::int32_t, std::int64_t, std::uint32_t, std::uint64_t>;
  visit_dtype(Types{}, type, ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_strings<T>(ctx, [&](const std::string& s) {
      T value{};
      if (!parse_number(s, value)) ctx.fail_node("\"{}\" is not a {}", s, dtype_name(type));
      return value;
    });
  });
}

constexpr ir::OpDef kOps[] = {
    {"as_string", infer_like_operand<DataType::kString>, evaluate_as_string},
    {"string_format", infer_string_format, evaluate_string_format},
    {"string_to_number", infer_string_to_number, evaluate_string_to_number},
};

constexpr ImportRule kRules[] = {
    {"AsString", "as_string"},
    {"StringFormat", "string_format"},
    {"StringToNumber", "string_to_number"},
};

}  // namespace

const OpFamily& string_format_family() {
  static const OpFamily family{"string_format", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
