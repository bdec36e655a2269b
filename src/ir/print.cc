#include "ir/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/hash.h"

namespace tenon::ir {
namespace {

constexpr std::int64_t kMaxSplat = 1 << 16;

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + '"';
}

bool is_identifier(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || !letter(text[0])) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

template <class T>
std::string float_text(T value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  return fmt::format("{}", value);
}

std::string dtype_text(DataType dtype) { return dtype == DataType::kInvalid ? "invalid" : std::string(dtype_name(dtype)); }

std::string shape_text(const PartialShape& shape) {
  if (!shape.known_rank()) return "<?>";
  std::string text = shape.to_string();
  text.front() = '<';
  text.back() = '>';
  return text;
}

template <class T>
std::string element_text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return quoted(value);
  } else if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_floating_point_v<T>) {
    return float_text(value);
  } else {
    return fmt::format("{}", static_cast<std::int64_t>(value));
  }
}

// Equal elements print once; bit patterns decide, so that -0 and 0 differ.
template <class T>
bool is_splat(std::span<const T> values) {
  if (values.size() < 2 || values.size() > kMaxSplat) return false;
  return std::all_of(values.begin(), values.end(), [&](const T& v) {
    if constexpr (std::is_same_v<T, std::string>) {
      return v == values[0];
    } else {
      return std::memcmp(&v, &values[0], sizeof(T)) == 0;
    }
  });
}

template <class T>
std::string elements(const Tensor& tensor) {
  const auto values = tensor.flat<T>();
  if (is_splat(values)) return "{=" + element_text(values[0]) + "}";
  std::string text = "{";
  for (std::size_t i = 0; i < values.size(); ++i) text += (i ? ", " : "") + element_text(values[i]);
  return text + "}";
}

std::string hexadecimal(const Tensor& tensor) {
  std::string text = "x\"";
  const auto* bytes = static_cast<const unsigned char*>(tensor.data());
  for (std::size_t i = 0; i < tensor.byte_size(); ++i) text += fmt::format("{:02x}", bytes[i]);
  return text + '"';
}

std::string values_text(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DataType::kFloat32:
      return elements<float>(tensor);
    case DataType::kFloat64:
      return elements<double>(tensor);
    case DataType::kInt32:
      return elements<std::int32_t>(tensor);
    case DataType::kInt64:
      return elements<std::int64_t>(tensor);
    case DataType::kBool:
      return elements<bool>(tensor);
    case DataType::kString:
      return elements<std::string>(tensor);
    case DataType::kResource:
    case DataType::kVariant:
      fail(ErrorCode::kInternal, "print: a tensor of {} has no text form", dtype_name(tensor.dtype()));
    default:
      return hexadecimal(tensor);
  }
}

bool all_equal(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DataType::kFloat32:
      return is_splat(tensor.flat<float>());
    case DataType::kFloat64:
      return is_splat(tensor.flat<double>());
    case DataType::kInt32:
      return is_splat(tensor.flat<std::int32_t>());
    case DataType::kInt64:
      return is_splat(tensor.flat<std::int64_t>());
    default:
      return false;
  }
}

std::string hash_text(const Tensor& tensor) {
  if (tensor.dtype() == DataType::kString) {
    std::string all;
    for (const std::string& s : tensor.flat<std::string>()) all += quoted(s);
    return fmt::format("#{:016x}", hash64(all));
  }
  return fmt::format("#{:016x}", hash64({static_cast<const char*>(tensor.data()), tensor.byte_size()}));
}

std::string tensor_text(const Tensor& tensor, const PrintOptions& options) {
  if (!tensor.valid()) return "none";
  const std::string type = std::string(dtype_name(tensor.dtype())) + tensor.shape().to_string();
  if (tensor.num_elements() > options.max_inline && !all_equal(tensor)) {
    if (!options.external) return type + hash_text(tensor);
    const int place = options.external(tensor);
    if (place >= 0) return fmt::format("@{}", place);
  }
  return type + values_text(tensor);
}

std::string attrs_text(const Attrs& attrs, const PrintOptions& options);

struct ValuePrinter {
  const PrintOptions& options;

  std::string operator()(const EmptyList&) const { return "[]"; }
  std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
  std::string operator()(float v) const { return float_text(v) + "f"; }
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(const std::string& v) const { return quoted(v); }
  std::string operator()(DataType v) const { return dtype_text(v); }
  std::string operator()(const PartialShape& v) const { return shape_text(v); }
  std::string operator()(const Tensor& v) const { return tensor_text(v, options); }
  std::string operator()(const FunctionRef& v) const {
    return "&" + quoted(v.name) + (v.attrs && v.attrs->size() > 0 ? attrs_text(*v.attrs, options) : "");
  }
  template <class T>
  std::string operator()(const std::vector<T>& list) const {
    std::string text = "[";
    for (std::size_t i = 0; i < list.size(); ++i) text += (i ? ", " : "") + (*this)(static_cast<const T&>(T(list[i])));
    return text + "]";
  }
};

std::string attrs_text(const Attrs& attrs, const PrintOptions& options) {
  std::string text = "{";
  for (const auto& [key, value] : attrs) {
    if (text.size() > 1) text += ", ";
    text += (is_identifier(key) ? key : quoted(key)) + ": " + print(value, options);
  }
  return text + "}";
}

class GraphPrinter {
 public:
  GraphPrinter(const Graph& graph, const PrintOptions& options) : graph_(graph), options_(options) {}

  std::string run() {
    const std::vector<Node*> order = graph_.topological_order();
    for (const Node* node : order) numbers_.emplace(node, numbers_.size());
    text_ = "graph " + quoted(graph_.name()) + "\n";
    for (const Node* node : order) print_node(*node);
    text_ += "parameters ";
    print_list(graph_.parameters, [&](const Node* n) { return name(n); });
    text_ += "\noutputs ";
    print_list(graph_.outputs, [&](const Value& v) { return name(v); });
    text_ += "\ncontrols ";
    print_list(graph_.control_outputs, [&](const Node* n) { return name(n); });
    text_ += "\nend\n";
    return std::move(text_);
  }

 private:
  std::string name(const Node* node) const { return fmt::format("n{}", numbers_.at(node)); }
  std::string name(const Value& v) const { return v.index == 0 ? name(v.node) : fmt::format("{}:{}", name(v.node), v.index); }

  template <class List, class F>
  void print_list(const List& list, F&& item) {
    text_ += '(';
    bool first = true;
    for (const auto& entry : list) {
      if (!first) text_ += ", ";
      first = false;
      text_ += item(entry);
    }
    text_ += ')';
  }

  void print_node(const Node& node) {
    text_ += fmt::format("{} = {} {} {} ", name(&node), node.op->name, quoted(node.name), attrs_text(node.attrs, options_));
    print_list(node.inputs, [&](const Value& v) { return name(v); });
    if (!node.control_inputs.empty()) {
      text_ += " after ";
      print_list(node.control_inputs, [&](const Node* n) { return name(n); });
    }
    if (options_.origins) {
      if (!node.origin.op_type.empty()) text_ += " from " + quoted(node.origin.op_type);
      if (!node.origin.merged.empty()) {
        text_ += " merged ";
        print_list(node.origin.merged, [](const std::string& s) { return quoted(s); });
      }
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) text_ += (i ? ", " : " -> ") + node.outputs[i].to_string();
    text_ += '\n';
  }

  const Graph& graph_;
  const PrintOptions& options_;
  std::unordered_map<const Node*, std::size_t> numbers_;
  std::string text_;
};

}  // namespace

std::string print(const AttrValue& value, const PrintOptions& options) { return std::visit(ValuePrinter{options}, value); }

std::string print(const Graph& graph, const PrintOptions& options) { return GraphPrinter(graph, options).run(); }

}  // namespace tenon::ir
