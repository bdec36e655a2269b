// Text between encodings and code points.
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"
#include "ops/string_elements.h"
#include "ops/unicode_text.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// What happens to ill-formed input: replaced, dropped, or an error.
class ErrorPolicy {
 public:
  explicit ErrorPolicy(const EvalContext& ctx)
      : ctx_(ctx), replacement_(ctx.attrs().get_or<std::int64_t>("replacement_char", kReplacementCharacter)) {
    const auto errors = ctx.attrs().get_or<std::string>("errors", "replace");
    strict_ = errors == "strict";
    ignore_ = errors == "ignore";
    if (!strict_ && !ignore_ && errors != "replace") ctx.fail_node("errors is \"{}\"", errors);
    if (!is_character(replacement_)) ctx.fail_node("the replacement character {} is no character", replacement_);
    replace_controls_ = ctx.attrs().get_or<bool>("replace_control_characters", false);
  }

  // What a character stands for after the rules; false: nothing. Where errors are ignored, control characters that would be
  // replaced are dropped.
  bool accept(bool valid, std::int64_t code, char32_t& out) const {
    const bool control = valid && replace_controls_ && code < 0x20;
    if (valid && !control) {
      out = static_cast<char32_t>(code);
      return true;
    }
    if (!valid && strict_) ctx_.fail_node("the text is ill-formed, and errors is \"strict\"");
    if (ignore_) return false;
    out = static_cast<char32_t>(replacement_);
    return true;
  }

 private:
  const EvalContext& ctx_;
  std::int64_t replacement_;
  bool strict_ = false;
  bool ignore_ = false;
  bool replace_controls_ = false;
};

Encoding encoding_attr(const EvalContext& ctx, const char* name) {
  const auto text = ctx.attrs().get_or<std::string>(name, "UTF-8");
  const auto encoding = find_encoding(text);
  if (!encoding) fail(ErrorCode::kUnsupported, "{}: encoding \"{}\" is not supported", ctx.node().describe(), text);
  return *encoding;
}

// Calls see(code point, byte offset) for every character.
template <class See>
void each_character(Encoding encoding, std::string_view text, const ErrorPolicy& policy, See&& see) {
  for (std::size_t at = 0; at < text.size();) {
    const DecodedCharacter next = decode_character(encoding, text.substr(at));
    char32_t code = 0;
    if (policy.accept(next.valid, next.code, code)) see(code, at);
    at += next.size;
  }
}

Tensor splits_tensor(DataType dtype, const std::vector<std::int64_t>& values) {
  if (dtype == DataType::kInt32) return Tensor::vector<std::int32_t>(std::vector<std::int32_t>(values.begin(), values.end()));
  return Tensor::vector<std::int64_t>(values);
}

void infer_decode(InferContext& ctx) {
  const PartialShape& in = ctx.input_shape(0);
  const auto count = in.num_elements();
  const Dim characters = ctx.fresh();
  ctx.set_output(0, ctx.attrs().get_or<DataType>("Tsplits", DataType::kInt64), PartialShape{count ? Dim(*count + 1) : ctx.fresh()});
  ctx.set_output(1, DataType::kInt32, PartialShape{characters});
  if (ctx.num_outputs() > 2) ctx.set_output(2, DataType::kInt64, PartialShape{characters});
}

void infer_decode_with_offsets(InferContext& ctx) {
  ctx.set_num_outputs(3);
  infer_decode(ctx);
}

void evaluate_decode(EvalContext& ctx) {
  const Encoding encoding = encoding_attr(ctx, "input_encoding");
  const ErrorPolicy policy(ctx);
  std::vector<std::int64_t> splits = {0};
  std::vector<std::int32_t> codes;
  std::vector<std::int64_t> offsets;
  for (const std::string& s : strings_operand(ctx, 0)) {
    each_character(encoding, s, policy, [&](char32_t code, std::size_t at) {
      codes.push_back(static_cast<std::int32_t>(code));
      offsets.push_back(static_cast<std::int64_t>(at));
    });
    splits.push_back(static_cast<std::int64_t>(codes.size()));
  }
  ctx.set_output(0, splits_tensor(ctx.attrs().get_or<DataType>("Tsplits", DataType::kInt64), splits));
  ctx.set_output(1, Tensor::vector<std::int32_t>(codes));
  if (ctx.num_outputs() > 2) ctx.set_output(2, Tensor::vector<std::int64_t>(offsets));
}

void infer_encode(InferContext& ctx) {
  ctx.expect_inputs(2);
  const PartialShape& splits = ctx.input_shape(1);
  const bool known = splits.known_rank() && splits.rank() == 1 && splits[0].known() && splits[0].size() > 0;
  ctx.set_output(0, DataType::kString, PartialShape{known ? Dim(splits[0].size() - 1) : ctx.fresh()});
}

void evaluate_encode(EvalContext& ctx) {
  const Encoding encoding = encoding_attr(ctx, "output_encoding");
  const ErrorPolicy policy(ctx);
  const std::vector<std::int64_t> codes = ctx.integers(0);
  const std::vector<std::int64_t> splits = ctx.integers(1);
  if (splits.empty() || splits.front() != 0 || splits.back() != static_cast<std::int64_t>(codes.size())) {
    ctx.fail_node("input_splits must go from 0 to {}", codes.size());
  }
  Tensor& out = ctx.allocate(0, DataType::kString, {static_cast<std::int64_t>(splits.size()) - 1});
  for (std::size_t i = 0; i + 1 < splits.size(); ++i) {
    if (splits[i + 1] < splits[i] || splits[i + 1] > static_cast<std::int64_t>(codes.size())) ctx.fail_node("input_splits decrease");
    for (std::int64_t k = splits[i]; k < splits[i + 1]; ++k) {
      const std::int64_t code = codes[static_cast<std::size_t>(k)];
      char32_t kept = 0;
      if (policy.accept(is_character(code), code, kept)) append_character(encoding, out.flat<std::string>()[i], kept);
    }
  }
}

void evaluate_transcode(EvalContext& ctx) {
  const Encoding from = encoding_attr(ctx, "input_encoding");
  const Encoding to = encoding_attr(ctx, "output_encoding");
  const ErrorPolicy policy(ctx);
  map_strings<std::string>(ctx, [&](const std::string& s) {
    std::string out;
    each_character(from, s, policy, [&](char32_t code, std::size_t) { append_character(to, out, code); });
    return out;
  });
}

constexpr ir::OpDef kOps[] = {
    {"unicode_decode", infer_decode, evaluate_decode},
    {"unicode_decode_with_offsets", infer_decode_with_offsets, evaluate_decode},
    {"unicode_encode", infer_encode, evaluate_encode},
    {"unicode_transcode", infer_like_operand<DataType::kString>, evaluate_transcode},
};

constexpr ImportRule kRules[] = {
    {"UnicodeDecode", "unicode_decode"},
    {"UnicodeDecodeWithOffsets", "unicode_decode_with_offsets"},
    {"UnicodeEncode", "unicode_encode"},
    {"UnicodeTranscode", "unicode_transcode"},
};

}  // namespace

const OpFamily& unicode_family() {
  static const OpFamily family{"unicode", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
