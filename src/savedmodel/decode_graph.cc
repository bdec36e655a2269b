#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "savedmodel/decode.h"
#include "savedmodel/wire.h"

namespace tenon::saved {
namespace {

std::int64_t decode_dimension(std::string_view bytes) {
  std::int64_t size = 0;
  for (Fields fields(bytes, "TensorShapeProto.Dim"); fields.next();) {
    if (fields.number() == 1) {
      size = fields.int64();
    } else {
      fields.skip();
    }
  }
  if (size < -1) fail(ErrorCode::kInvalidModel, "TensorShapeProto: a dimension has size {}; -1 or more is possible", size);
  return size;
}

// An entry of a protobuf map from string to message.
std::pair<std::string, std::string_view> decode_entry(std::string_view bytes, const char* message) {
  std::pair<std::string, std::string_view> entry;
  for (Fields fields(bytes, message); fields.next();) {
    switch (fields.number()) {
      case 1:
        entry.first = fields.string();
        break;
      case 2:
        entry.second = fields.bytes();
        break;
      default:
        fields.skip();
    }
  }
  return entry;
}

std::pair<std::string, std::string> decode_string_entry(std::string_view bytes, const char* message) {
  auto [key, value] = decode_entry(bytes, message);
  return {std::move(key), std::string(value)};
}

void decode_attr_entry(std::string_view bytes, const Storage& storage, int depth, AttrMap& attrs) {
  auto [key, value] = decode_entry(bytes, "AttrEntry");
  attrs.emplace_back(std::move(key), decode_attr(value, storage, depth));
}

FunctionRef decode_function_ref(std::string_view bytes, const Storage& storage, int depth) {
  check_depth(depth, "NameAttrList");
  FunctionRef function;
  for (Fields fields(bytes, "NameAttrList"); fields.next();) {
    switch (fields.number()) {
      case 1:
        function.name = fields.string();
        break;
      case 2:
        decode_attr_entry(fields.bytes(), storage, depth + 1, function.attrs);
        break;
      default:
        fields.skip();
    }
  }
  return function;
}

AttrList decode_list(std::string_view bytes, const Storage& storage, int depth) {
  check_depth(depth, "AttrValue.ListValue");
  AttrList list;
  for (Fields fields(bytes, "AttrValue.ListValue"); fields.next();) {
    switch (fields.number()) {
      case 2:
        list.strings.push_back(fields.string());
        break;
      case 3:
        fields.each_varint([&](std::uint64_t v) { list.ints.push_back(static_cast<std::int64_t>(v)); });
        break;
      case 4:
        fields.each_float([&](float v) { list.floats.push_back(v); });
        break;
      case 5:
        fields.each_varint([&](std::uint64_t v) { list.bools.push_back(v != 0); });
        break;
      case 6:
        fields.each_varint([&](std::uint64_t v) { list.types.push_back(static_cast<DataType>(static_cast<int>(v))); });
        break;
      case 7:
        list.shapes.push_back(decode_shape(fields.bytes()));
        break;
      case 8:
        list.tensors.emplace_back(fields.bytes(), storage);
        break;
      case 9:
        list.functions.push_back(decode_function_ref(fields.bytes(), storage, depth + 1));
        break;
      default:
        fields.skip();
    }
  }
  return list;
}

ArgDef decode_arg(std::string_view bytes) {
  ArgDef arg;
  for (Fields fields(bytes, "OpDef.ArgDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        arg.name = fields.string();
        break;
      case 3:
        arg.dtype = fields.dtype();
        break;
      case 4:
        arg.type_attr = fields.string();
        break;
      case 5:
        arg.number_attr = fields.string();
        break;
      case 6:
        arg.type_list_attr = fields.string();
        break;
      case 16:
        arg.is_ref = fields.boolean();
        break;
      default:
        fields.keep(arg.other_fields);
    }
  }
  return arg;
}

void decode_function_signature(std::string_view bytes, FunctionDef& function) {
  for (Fields fields(bytes, "OpDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        function.name = fields.string();
        break;
      case 2:
        function.input_args.push_back(decode_arg(fields.bytes()));
        break;
      case 3:
        function.output_args.push_back(decode_arg(fields.bytes()));
        break;
      case 17:
        function.is_stateful = fields.boolean();
        break;
      case 20:
        function.control_outputs.push_back(fields.string());
        break;
      default:
        fields.keep(function.signature_other_fields);
    }
  }
}

AttrMap decode_arg_attrs(std::string_view bytes, const Storage& storage) {
  AttrMap attrs;
  for (Fields fields(bytes, "FunctionDef.ArgAttrs"); fields.next();) {
    if (fields.number() == 1) {
      decode_attr_entry(fields.bytes(), storage, 1, attrs);
    } else {
      fields.skip();
    }
  }
  return attrs;
}

std::pair<std::uint32_t, AttrMap> decode_arg_attrs_entry(std::string_view bytes, const Storage& storage) {
  std::pair<std::uint32_t, AttrMap> entry;
  for (Fields fields(bytes, "FunctionDef.ArgAttrEntry"); fields.next();) {
    switch (fields.number()) {
      case 1:
        entry.first = static_cast<std::uint32_t>(fields.varint());
        break;
      case 2:
        entry.second = decode_arg_attrs(fields.bytes(), storage);
        break;
      default:
        fields.skip();
    }
  }
  return entry;
}

void decode_library(std::string_view bytes, const Storage& storage, GraphDef& graph) {
  for (Fields fields(bytes, "FunctionDefLibrary"); fields.next();) {
    if (fields.number() == 1) {
      graph.functions.push_back(decode_function(fields.bytes(), storage));
    } else {
      fields.skip();
    }
  }
}

void decode_versions(std::string_view bytes, GraphDef& graph) {
  for (Fields fields(bytes, "VersionDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        graph.producer = fields.int32();
        break;
      case 2:
        graph.min_consumer = fields.int32();
        break;
      default:
        fields.skip();
    }
  }
}

void check_unique_nodes(const std::vector<NodeDef>& nodes, std::string_view where) {
  std::unordered_set<std::string_view> names;
  names.reserve(nodes.size());
  for (const NodeDef& node : nodes) {
    if (!names.insert(node.name).second) {
      fail(ErrorCode::kInvalidModel, "{}: node \"{}\" is defined twice", where, node.name);
    }
  }
}

}  // namespace

PartialShape decode_shape(std::string_view bytes) {
  PartialShape shape;
  shape.known_rank = true;
  for (Fields fields(bytes, "TensorShapeProto"); fields.next();) {
    switch (fields.number()) {
      case 2:
        shape.dims.push_back(decode_dimension(fields.bytes()));
        break;
      case 3:
        shape.known_rank = !fields.boolean();
        break;
      default:
        fields.skip();
    }
  }
  if (!shape.known_rank) shape.dims.clear();
  return shape;
}

AttrValue decode_attr(std::string_view bytes, const Storage& storage, int depth) {
  check_depth(depth, "AttrValue");
  AttrValue result;
  for (Fields fields(bytes, "AttrValue"); fields.next();) {
    switch (fields.number()) {
      case 1:
        result = AttrValue::of(decode_list(fields.bytes(), storage, depth + 1));
        break;
      case 2:
        result = AttrValue::of(fields.string());
        break;
      case 3:
        result = AttrValue::of(fields.int64());
        break;
      case 4:
        result = AttrValue::of(fields.float32());
        break;
      case 5:
        result = AttrValue::of(fields.boolean());
        break;
      case 6:
        result = AttrValue::of(fields.dtype());
        break;
      case 7:
        result = AttrValue::of(decode_shape(fields.bytes()));
        break;
      case 8:
        result = AttrValue::of(TensorValue(fields.bytes(), storage));
        break;
      case 9:
        result = {Placeholder{fields.string()}};
        break;
      case 10:
        result = AttrValue::of(decode_function_ref(fields.bytes(), storage, depth + 1));
        break;
      default:
        fields.skip();
    }
  }
  return result;
}

NodeDef decode_node(std::string_view bytes, const Storage& storage) {
  NodeDef node;
  node.raw = bytes;
  for (Fields fields(bytes, "NodeDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        node.name = fields.string();
        break;
      case 2:
        node.op = fields.string();
        break;
      case 3:
        node.inputs.push_back(fields.string());
        break;
      case 4:
        node.device = fields.string();
        break;
      case 5:
        decode_attr_entry(fields.bytes(), storage, 0, node.attrs);
        break;
      default:
        fields.keep(node.other_fields);
    }
  }
  return node;
}

FunctionDef decode_function(std::string_view bytes, const Storage& storage) {
  FunctionDef function;
  function.raw = bytes;
  for (Fields fields(bytes, "FunctionDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        decode_function_signature(fields.bytes(), function);
        break;
      case 3:
        function.nodes.push_back(decode_node(fields.bytes(), storage));
        break;
      case 4:
        function.ret.push_back(decode_string_entry(fields.bytes(), "FunctionDef.RetEntry"));
        break;
      case 5:
        decode_attr_entry(fields.bytes(), storage, 0, function.attrs);
        break;
      case 6:
        function.control_ret.push_back(decode_string_entry(fields.bytes(), "FunctionDef.ControlRetEntry"));
        break;
      case 7:
        function.arg_attrs.push_back(decode_arg_attrs_entry(fields.bytes(), storage));
        break;
      default:
        fields.keep(function.other_fields);
    }
  }
  return function;
}

void decode_graph(std::string_view bytes, const Storage& storage, GraphDef& graph) {
  for (Fields fields(bytes, "GraphDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        graph.nodes.push_back(decode_node(fields.bytes(), storage));
        break;
      case 2:
        decode_library(fields.bytes(), storage, graph);
        break;
      case 4:
        decode_versions(fields.bytes(), graph);
        break;
      default:
        fields.skip();
    }
  }
}

void check_unique_names(GraphDef& graph) {
  check_unique_nodes(graph.nodes, "graph");
  std::unordered_map<std::string_view, std::string_view> seen;
  const auto is_repeated = [&](const FunctionDef& function) {
    const auto [entry, is_new] = seen.emplace(function.name, function.raw);
    if (!is_new && entry->second != function.raw) {
      fail(ErrorCode::kInvalidModel, "function library: function \"{}\" is defined twice", function.name);
    }
    return !is_new;
  };
  std::vector<bool> repeated;
  for (const FunctionDef& function : graph.functions) {
    repeated.push_back(is_repeated(function));
    check_unique_nodes(function.nodes, fmt::format("function \"{}\"", function.name));
  }
  std::size_t index = 0;
  std::erase_if(graph.functions, [&](const FunctionDef&) { return repeated[index++]; });
}

}  // namespace tenon::saved
