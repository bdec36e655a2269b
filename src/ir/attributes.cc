#include "ir/attributes.h"

namespace tenon::ir {

const AttrValue* Attrs::find(std::string_view name) const {
  const auto it = values_.find(name);
  return it == values_.end() ? nullptr : &it->second;
}

void Attrs::erase(std::string_view name) {
  const auto it = values_.find(name);
  if (it != values_.end()) values_.erase(it);
}

}  // namespace tenon::ir
