// An expected yes or no; a no carries a reason that a user can act on.
#pragma once

#include <string>
#include <utility>

namespace tenon {

class [[nodiscard]] Verdict {
 public:
  static Verdict yes() { return Verdict({}, true); }
  static Verdict no(std::string reason) { return Verdict(std::move(reason), false); }
  explicit operator bool() const noexcept { return yes_; }
  const std::string& reason() const noexcept { return reason_; }  // empty for a yes

 private:
  Verdict(std::string reason, bool yes) : reason_(std::move(reason)), yes_(yes) {}
  std::string reason_;
  bool yes_;
};

}  // namespace tenon
