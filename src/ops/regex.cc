// Regular expressions, in RE2's syntax.
#include <re2/re2.h>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"
#include "ops/string_elements.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;

// The pattern (and rewrite) are attributes of the static ops, scalar operands of the others.
std::string parameter(const EvalContext& ctx, const char* attr, int operand) {
  return ctx.attrs().has(attr) ? ctx.attrs().get<std::string>(attr) : string_scalar(ctx, operand);
}

class Pattern {
 public:
  Pattern(const EvalContext& ctx, const std::string& text) : regex_(text, RE2::Quiet) {
    if (!regex_.ok()) ctx.fail_node("pattern \"{}\": {}", text, regex_.error());
  }
  const RE2& get() const { return regex_; }

 private:
  RE2 regex_;
};

void evaluate_replace(EvalContext& ctx) {
  const Pattern pattern(ctx, parameter(ctx, "pattern", 1));
  const std::string rewrite = parameter(ctx, "rewrite", 2);
  // RE2 leaves a text as it is when the rewrite names a group that the pattern lacks; TensorFlow lets it pass.
  if (RE2::MaxSubmatch(rewrite) > pattern.get().NumberOfCapturingGroups()) return ctx.set_output(0, ctx.input(0));
  std::string error;
  if (!pattern.get().CheckRewriteString(rewrite, &error)) ctx.fail_node("rewrite \"{}\": {}", rewrite, error);
  const bool all = ctx.attrs().get_or<bool>("replace_global", true);
  map_strings<std::string>(ctx, [&](std::string s) {
    if (all) {
      RE2::GlobalReplace(&s, pattern.get(), rewrite);
    } else {
      RE2::Replace(&s, pattern.get(), rewrite);
    }
    return s;
  });
}

void evaluate_full_match(EvalContext& ctx) {
  const Pattern pattern(ctx, parameter(ctx, "pattern", 1));
  map_strings<bool>(ctx, [&](const std::string& s) { return RE2::FullMatch(s, pattern.get()); });
}

constexpr ir::OpDef kOps[] = {
    {"regex_replace", infer_like_operand<DataType::kString>, evaluate_replace},
    {"regex_full_match", infer_like_operand<DataType::kBool>, evaluate_full_match},
};

constexpr ImportRule kRules[] = {
    {"RegexReplace", "regex_replace"},
    {"StaticRegexReplace", "regex_replace"},
    {"RegexFullMatch", "regex_full_match"},
    {"StaticRegexFullMatch", "regex_full_match"},
};

}  // namespace

const OpFamily& regex_family() {
  static const OpFamily family{"regex", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
