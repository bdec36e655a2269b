#include "ops/tensorflow_ops.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <string>

#include "base/error.h"

namespace tenon::ops {
namespace {

constexpr std::string_view kLines[] = {
#include "ops/tensorflow_ops.inc"
};
// More results than any real op has: bounds what a hostile length attribute can ask for.
constexpr std::int64_t kMaxResults = 1 << 16;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  if (text.empty()) return parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::int64_t integer(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

float number(std::string_view text) { return std::strtof(std::string(text).c_str(), nullptr); }

PartialShape shape(std::string_view text) {
  if (text == "?") return {};
  std::vector<Dim> dims;
  if (text != "scalar") {
    for (std::string_view part : split(text, 'x')) dims.emplace_back(integer(part));
  }
  return PartialShape(std::move(dims));
}

template <class T, class Convert>
ir::AttrValue list(std::string_view text, Convert convert) {
  std::vector<T> values;
  for (std::string_view part : split(text, ',')) values.push_back(static_cast<T>(convert(part)));
  if (values.empty()) return ir::EmptyList{};
  return values;
}

ir::AttrValue parse_list(char kind, std::string_view text) {
  switch (kind) {
    case 'i':
      return list<std::int64_t>(text, integer);
    case 'f':
      return list<float>(text, number);
    case 's':
      return list<std::string>(text, [](std::string_view s) { return std::string(s); });
    case 't':
      return list<DataType>(text, integer);
    default:
      return ir::EmptyList{};
  }
}

ir::AttrValue parse_default(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view value = text.substr(colon + 1);
  if (kind.size() == 2) return parse_list(kind[1], value);
  switch (kind[0]) {
    case 'i':
      return integer(value);
    case 'f':
      return number(value);
    case 'b':
      return value == "1";
    case 't':
      return static_cast<DataType>(integer(value));
    case 'h':
      return shape(value);
    default:
      return std::string(value);
  }
}

DataType named_type(std::string_view text, const ir::Attrs& attrs) {
  if (!text.empty() && text[0] >= '0' && text[0] <= '9') return static_cast<DataType>(integer(text));
  const ir::AttrValue* value = attrs.find(text);
  const DataType* dtype = value ? std::get_if<DataType>(value) : nullptr;
  return dtype ? *dtype : DataType::kInvalid;
}

}  // namespace

struct TensorflowOpTable {
  std::map<std::string_view, TensorflowOp> ops;

  TensorflowOpTable() {
    for (std::string_view line : kLines) {
      TensorflowOp op;
      std::string_view fields[4];
      std::size_t field = 0;
      for (std::size_t tab; field < 3 && (tab = line.find('\t')) != std::string_view::npos; ++field) {
        fields[field] = line.substr(0, tab);
        line.remove_prefix(tab + 1);
      }
      fields[3] = line;
      op.name_ = fields[0];
      op.stateful_ = fields[1] == "S";
      for (std::string_view result : split(fields[2], ';')) {
        const std::size_t colon = result.find(':');
        op.results_.push_back({result.substr(0, colon), result.substr(colon + 1)});
      }
      for (std::string_view attr : split(fields[3], ';')) {
        const std::size_t equals = attr.find('=');
        op.defaults_.emplace_back(attr.substr(0, equals), attr.substr(equals + 1));
      }
      ops.emplace(op.name_, std::move(op));
    }
  }
};

const TensorflowOp* TensorflowOp::find(std::string_view name) {
  static const TensorflowOpTable table;
  const auto it = table.ops.find(name);
  return it == table.ops.end() ? nullptr : &it->second;
}

void TensorflowOp::fill_defaults(ir::Attrs& attrs) const {
  for (const auto& [name, text] : defaults_) {
    if (!attrs.has(name)) attrs.set(std::string(name), parse_default(text));
  }
}

std::vector<DataType> TensorflowOp::types_of(const Result& result, const ir::Attrs& attrs) {
  if (result.dtype.starts_with('@')) {
    const ir::AttrValue* value = attrs.find(result.dtype.substr(1));
    const auto* types = value ? std::get_if<std::vector<DataType>>(value) : nullptr;
    return types ? *types : std::vector<DataType>{};
  }
  const std::size_t star = result.dtype.find('*');
  if (star == std::string_view::npos) return {named_type(result.dtype, attrs)};
  const ir::AttrValue* value = attrs.find(result.dtype.substr(0, star));
  const std::int64_t* length = value ? std::get_if<std::int64_t>(value) : nullptr;
  const std::int64_t count = length ? std::clamp<std::int64_t>(*length, 0, kMaxResults) : 0;
  return std::vector<DataType>(static_cast<std::size_t>(count), named_type(result.dtype.substr(star + 1), attrs));
}

std::vector<DataType> TensorflowOp::result_types(const ir::Attrs& attrs) const {
  std::vector<DataType> types;
  for (const Result& result : results_) {
    const std::vector<DataType> more = types_of(result, attrs);
    types.insert(types.end(), more.begin(), more.end());
  }
  return types;
}

std::optional<int> TensorflowOp::result_index(const ir::Attrs& attrs, std::string_view arg, int index) const {
  int first = 0;
  for (const Result& result : results_) {
    const int count = static_cast<int>(types_of(result, attrs).size());
    if (result.name == arg) return index >= 0 && index < count ? std::optional<int>(first + index) : std::nullopt;
    first += count;
  }
  return std::nullopt;
}

std::string TensorflowOp::result_name(const ir::Attrs& attrs, int flat) const {
  int first = 0;
  for (const Result& result : results_) {
    const int count = static_cast<int>(types_of(result, attrs).size());
    if (flat >= first && flat < first + count) return std::string(result.name) + ":" + std::to_string(flat - first);
    first += count;
  }
  return {};
}

}  // namespace tenon::ops
