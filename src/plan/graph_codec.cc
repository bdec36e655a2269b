#include "plan/graph_codec.h"

#include <fmt/format.h>

#include "base/error.h"
#include "plan/bytes.h"

namespace tenon::plan {
namespace {

using ir::Attrs;
using ir::AttrValue;

[[noreturn]] void malformed(std::string_view what) { fail(ErrorCode::kIncompatiblePlan, "plan: malformed graph: {}", what); }

constexpr std::int64_t kMostSymbols = std::int64_t{1} << 30;  // more than any graph has

class Encoder {
 public:
  explicit Encoder(BlobWriter& blob) : blob_(blob) {}

  void put(ir::EmptyList) {}
  void put(std::int64_t v) { out_.number(v); }
  void put(float v) { out_.number(v); }
  void put(bool v) { out_.number<std::uint8_t>(v); }
  void put(const std::string& v) { out_.text(v); }
  void put(DataType v) { out_.number<std::int32_t>(static_cast<std::int32_t>(v)); }
  void put(const PartialShape& v) {
    out_.number<std::int32_t>(v.known_rank() ? v.rank() : -1);
    if (!v.known_rank()) return;
    for (const Dim& dim : v.dims()) out_.number<std::int64_t>(dim.known() ? dim.size() : -1 - dim.symbol_id());
  }
  void put(const Tensor& v) {
    put(v.dtype());
    out_.number<std::int32_t>(v.rank());
    for (const std::int64_t dim : v.shape()) out_.number(dim);
    if (v.dtype() == DataType::kString) {
      for (const std::string& element : v.flat<std::string>()) put(element);
    } else if (v.dtype() == DataType::kResource || v.dtype() == DataType::kVariant) {
      fail(ErrorCode::kUnsupported, "plan: a tensor of dtype {} cannot be stored", dtype_name(v.dtype()));
    } else {
      out_.number(blob_.add({static_cast<const char*>(v.data()), v.byte_size()}));
    }
  }
  void put(const ir::FunctionRef& v) { fail(ErrorCode::kUnsupported, "plan: function \"{}\" cannot be stored in an engine", v.name); }
  template <class T>
  void put(const std::vector<T>& list) {
    out_.count(list.size());
    for (const auto& element : list) put(static_cast<const T&>(element));
  }

  void put(const Attrs& attrs) {
    out_.count(attrs.size());
    for (const auto& [name, value] : attrs) {
      put(name);
      out_.number(static_cast<std::uint8_t>(value.index()));
      std::visit([&](const auto& typed) { put(typed); }, value);
    }
  }

  void put(const ir::Node& node, const std::unordered_map<const ir::Node*, std::uint64_t>& index) {
    put(node.name);
    out_.text(node.op->name);
    put(node.origin.op_type);
    put(node.origin.merged);
    put(node.attrs);
    out_.count(node.outputs.size());
    for (const ir::ValueType& type : node.outputs) {
      put(type.dtype);
      put(type.shape);
    }
    out_.count(node.inputs.size());
    for (const ir::Value& input : node.inputs) put(input, index);
  }
  void put(const ir::Value& value, const std::unordered_map<const ir::Node*, std::uint64_t>& index) {
    out_.number(index.at(value.node));
    out_.number<std::int32_t>(value.index);
  }

  ByteWriter& out() { return out_; }

 private:
  BlobWriter& blob_;
  ByteWriter out_;
};

class Decoder {
 public:
  Decoder(std::string_view bytes, std::string_view blob, std::shared_ptr<const void> owner)
      : in_(bytes), blob_(blob), owner_(std::move(owner)) {}

  void get(ir::EmptyList&) {}
  void get(std::int64_t& v) { v = in_.number<std::int64_t>(); }
  void get(float& v) { v = in_.number<float>(); }
  void get(bool& v) { v = in_.flag(); }
  void get(std::string& v) { v = in_.string(); }
  void get(DataType& v) { v = static_cast<DataType>(in_.number<std::int32_t>()); }
  void get(PartialShape& v) {
    const int rank = get_rank();
    if (rank < 0) return;
    std::vector<Dim> dims;
    for (int i = 0; i < rank; ++i) {
      const auto code = in_.number<std::int64_t>();
      if (code < -kMostSymbols) malformed(fmt::format("symbol number {}", -1 - code));
      dims.push_back(code >= 0 ? Dim(code) : Dim::symbol(-1 - code));
    }
    v = PartialShape(std::move(dims));
  }
  void get(Tensor& v) {
    DataType dtype{};
    get(dtype);
    Shape shape;
    const std::int64_t elements = get_sizes(shape);
    if (dtype == DataType::kString) {
      v = get_strings(std::move(shape), elements);
      return;
    }
    const std::size_t unit = dtype_size(dtype);
    if (unit == 0 || dtype == DataType::kResource || dtype == DataType::kVariant) malformed("a tensor's dtype");
    const auto offset = in_.number<std::uint64_t>();
    if (offset % 64 != 0 || offset > blob_.size() || static_cast<std::uint64_t>(elements) > (blob_.size() - offset) / unit) {
      malformed("a tensor lies outside the weights");
    }
    v = Tensor::borrow(dtype, std::move(shape), const_cast<char*>(blob_.data() + offset), owner_);
  }
  void get(ir::FunctionRef&) { malformed("a function attribute"); }
  template <class T>
  void get(std::vector<T>& list) {
    const std::size_t count = in_.count();
    for (std::size_t i = 0; i < count; ++i) {
      T element{};
      get(element);
      list.push_back(std::move(element));
    }
  }
  void get(Attrs& attrs) {
    const std::size_t count = in_.count();
    for (std::size_t i = 0; i < count; ++i) {
      std::string name = in_.string();
      attrs.set(std::move(name), get_value(in_.number<std::uint8_t>()));
    }
  }

  std::unique_ptr<ir::Graph> graph(const std::function<const ir::OpDef*(std::string_view)>& find_op) {
    auto graph = std::make_unique<ir::Graph>(in_.string());
    const std::size_t nodes = in_.count(8);
    std::vector<std::vector<std::pair<std::uint64_t, int>>> operands(nodes);
    for (std::size_t i = 0; i < nodes; ++i) get_node(*graph, find_op, operands[i]);
    for (std::size_t i = 0; i < nodes; ++i) {
      for (const auto& operand : operands[i]) graph->nodes()[i]->inputs.push_back(value(*graph, operand));
    }
    const std::size_t parameters = in_.count(8);
    for (std::size_t i = 0; i < parameters; ++i) graph->parameters.push_back(value(*graph, {in_.number<std::uint64_t>(), 0}).node);
    const std::size_t outputs = in_.count(12);
    for (std::size_t i = 0; i < outputs; ++i) graph->outputs.push_back(value(*graph, get_reference()));
    if (!in_.at_end()) malformed("bytes are left at the end");
    return graph;
  }

 private:
  int get_rank() {
    const auto rank = in_.number<std::int32_t>();
    if (rank < -1 || rank > 254) malformed("a rank");
    return rank;
  }

  std::int64_t get_sizes(Shape& shape) {
    const int rank = get_rank();
    std::int64_t elements = 1;
    for (int i = 0; i < rank; ++i) {
      const auto dim = in_.number<std::int64_t>();
      if (dim < 0 || __builtin_mul_overflow(elements, dim, &elements)) malformed("a tensor's size");
      shape.push_back(dim);
    }
    if (elements > (std::int64_t{1} << 46)) malformed("a tensor's size");
    return elements;
  }

  Tensor get_strings(Shape shape, std::int64_t elements) {
    std::vector<std::string> strings;
    for (std::int64_t i = 0; i < elements; ++i) strings.push_back(in_.string());
    Tensor tensor(DataType::kString, std::move(shape));
    std::move(strings.begin(), strings.end(), tensor.flat<std::string>().begin());
    return tensor;
  }

  template <std::size_t I = 0>
  AttrValue get_value(std::size_t index) {
    if constexpr (I < std::variant_size_v<AttrValue>) {
      if (index != I) return get_value<I + 1>(index);
      std::variant_alternative_t<I, AttrValue> typed{};
      get(typed);
      return typed;
    } else {
      malformed("an attribute's type");
    }
  }

  std::pair<std::uint64_t, int> get_reference() {
    const auto node = in_.number<std::uint64_t>();
    return {node, in_.number<std::int32_t>()};
  }

  void get_node(ir::Graph& graph, const std::function<const ir::OpDef*(std::string_view)>& find_op,
                std::vector<std::pair<std::uint64_t, int>>& operands) {
    std::string name = in_.string();
    const std::string op_name = in_.string();
    const ir::OpDef* op = find_op(op_name);
    if (op == nullptr) fail(ErrorCode::kIncompatiblePlan, "plan: this Tenon has no op \"{}\"; build the engine again", op_name);
    ir::Node* node = graph.add(*op, name);
    if (node->name != name) malformed("a node's name is there twice");
    get(node->origin.op_type);
    get(node->origin.merged);
    get(node->attrs);
    node->outputs.clear();
    const std::size_t results = in_.count(8);
    for (std::size_t i = 0; i < results; ++i) {
      ir::ValueType type;
      get(type.dtype);
      get(type.shape);
      node->outputs.push_back(std::move(type));
    }
    const std::size_t count = in_.count(12);
    for (std::size_t i = 0; i < count; ++i) operands.push_back(get_reference());
  }

  static ir::Value value(const ir::Graph& graph, std::pair<std::uint64_t, int> reference) {
    const auto [node, index] = reference;
    if (node >= graph.size() || index < 0) malformed("an operand does not exist");
    ir::Node* producer = graph.nodes()[node].get();
    if (static_cast<std::size_t>(index) >= producer->outputs.size()) malformed("an operand does not exist");
    return {producer, index};
  }

  ByteReader in_;
  std::string_view blob_;
  std::shared_ptr<const void> owner_;
};

}  // namespace

std::string encode_graph(const ir::Graph& graph, BlobWriter& blob) {
  std::unordered_map<const ir::Node*, std::uint64_t> index;
  for (const auto& node : graph.nodes()) index.emplace(node.get(), index.size());
  Encoder encoder(blob);
  encoder.put(graph.name());
  encoder.out().count(graph.size());
  for (const auto& node : graph.nodes()) encoder.put(*node, index);
  encoder.out().count(graph.parameters.size());
  for (const ir::Node* parameter : graph.parameters) encoder.out().number(index.at(parameter));
  encoder.out().count(graph.outputs.size());
  for (const ir::Value& output : graph.outputs) encoder.put(output, index);
  return encoder.out().take();
}

std::unique_ptr<ir::Graph> decode_graph(std::string_view bytes, std::string_view blob, std::shared_ptr<const void> owner,
                                        const std::function<const ir::OpDef*(std::string_view)>& find_op) {
  auto graph = Decoder(bytes, blob, std::move(owner)).graph(find_op);
  graph->topological_order();  // throws for a cycle
  return graph;
}

}  // namespace tenon::plan
