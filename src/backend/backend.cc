#include "backend/backend.h"

#include "base/error.h"

namespace tenon {

std::string_view Precision::name() const noexcept {
  switch (mode) {
    case PrecisionMode::kFp32:
      return "FP32";
    case PrecisionMode::kFp16:
      return "FP16";
    case PrecisionMode::kInt8:
      return "INT8";
  }
  return "FP32";
}

Verdict Backend::supports_loop(const ir::Node&, const ir::Module&, const Precision&) const {
  return Verdict::no("this backend runs no loops");
}

Tensor NoWeights::variable(const std::string& name) {
  fail(ErrorCode::kNotFound, "engine: wanted the value of variable \"{}\", but no weights were given", name);
}

}  // namespace tenon
