// Nodes, functions and signatures into wire format.
#include <protozero/pbf_writer.hpp>

#include "base/error.h"
#include "savedmodel/rewrite.h"
#include "savedmodel/tensor_proto.h"
#include "savedmodel/write.h"

namespace tenon::saved {
namespace {

using protozero::pbf_writer;

void append(pbf_writer& writer, std::uint32_t number, std::string_view bytes) {
  writer.add_bytes(number, bytes.data(), bytes.size());
}

void append_if_set(pbf_writer& writer, std::uint32_t number, std::string_view bytes) {
  if (!bytes.empty()) append(writer, number, bytes);
}

// An entry of a map from string to message or string.
void append_entry(pbf_writer& writer, std::uint32_t number, std::string_view key, std::string_view value) {
  pbf_writer entry(writer, number);
  append(entry, 1, key);
  append(entry, 2, value);
}

void append_attrs(pbf_writer& writer, std::uint32_t number, const AttrMap& attrs) {
  for (const auto& [name, value] : attrs) append_entry(writer, number, name, serialize(value));
}

std::string serialize_function_ref(const FunctionRef& function) {
  std::string bytes;
  pbf_writer writer(bytes);
  append(writer, 1, function.name);
  append_attrs(writer, 2, function.attrs);
  return bytes;
}

std::string serialize_list(const AttrList& list) {
  std::string bytes;
  pbf_writer writer(bytes);
  for (const std::string& value : list.strings) append(writer, 2, value);
  writer.add_packed_int64(3, list.ints.begin(), list.ints.end());
  writer.add_packed_float(4, list.floats.begin(), list.floats.end());
  writer.add_packed_bool(5, list.bools.begin(), list.bools.end());
  std::vector<std::int32_t> types;
  for (DataType type : list.types) types.push_back(static_cast<std::int32_t>(type));
  writer.add_packed_enum(6, types.begin(), types.end());
  for (const PartialShape& shape : list.shapes) append(writer, 7, encode_shape(shape.dims, shape.known_rank));
  for (const TensorValue& tensor : list.tensors) append(writer, 8, tensor.proto());
  for (const FunctionRef& function : list.functions) append(writer, 9, serialize_function_ref(function));
  return bytes;
}

struct AttrWriter {
  pbf_writer& writer;

  void operator()(std::monostate) const {}
  void operator()(const std::string& value) const { append(writer, 2, value); }
  void operator()(std::int64_t value) const { writer.add_int64(3, value); }
  void operator()(float value) const { writer.add_float(4, value); }
  void operator()(bool value) const { writer.add_bool(5, value); }
  void operator()(DataType value) const { writer.add_enum(6, static_cast<std::int32_t>(value)); }
  void operator()(const PartialShape& value) const { append(writer, 7, encode_shape(value.dims, value.known_rank)); }
  void operator()(const TensorValue& value) const { append(writer, 8, value.proto()); }
  void operator()(const Placeholder& value) const { append(writer, 9, value.name); }
  void operator()(const std::shared_ptr<const FunctionRef>& value) const {
    append(writer, 10, serialize_function_ref(*value));
  }
  void operator()(const std::shared_ptr<const AttrList>& value) const { append(writer, 1, serialize_list(*value)); }
};

void append_arg(pbf_writer& writer, std::uint32_t number, const ArgDef& arg) {
  std::string bytes;
  pbf_writer message(bytes);
  append(message, 1, arg.name);
  if (arg.dtype != DataType::kInvalid) message.add_enum(3, static_cast<std::int32_t>(arg.dtype));
  append_if_set(message, 4, arg.type_attr);
  append_if_set(message, 5, arg.number_attr);
  append_if_set(message, 6, arg.type_list_attr);
  if (arg.is_ref) message.add_bool(16, true);
  append(writer, number, bytes + arg.other_fields);
}

std::string serialize_function_signature(const FunctionDef& function) {
  std::string bytes;
  pbf_writer writer(bytes);
  append(writer, 1, function.name);
  for (const ArgDef& arg : function.input_args) append_arg(writer, 2, arg);
  for (const ArgDef& arg : function.output_args) append_arg(writer, 3, arg);
  if (function.is_stateful) writer.add_bool(17, true);
  for (const std::string& name : function.control_outputs) append(writer, 20, name);
  return bytes + function.signature_other_fields;
}

std::string serialize_arg_attrs(const AttrMap& attrs) {
  std::string bytes;
  pbf_writer writer(bytes);
  append_attrs(writer, 1, attrs);
  return bytes;
}

std::string serialize_tensor_info(const TensorInfo& info) {
  if (!info.raw.empty()) return std::string(info.raw);
  std::string bytes;
  pbf_writer writer(bytes);
  if (info.kind == TensorInfo::Kind::kSparse && info.components.size() == 3) {
    pbf_writer sparse(writer, 4);
    for (std::uint32_t i = 0; i < 3; ++i) append(sparse, i + 1, info.components[i]);
  } else if (info.kind != TensorInfo::Kind::kDense) {
    fail(ErrorCode::kInvalidArgument, "signature tensor \"{}\": a composite one can only be kept as it is", info.key);
  } else {
    append(writer, 1, info.name);
  }
  if (info.dtype != DataType::kInvalid) writer.add_enum(2, static_cast<std::int32_t>(info.dtype));
  append(writer, 3, encode_shape(info.shape.dims, info.shape.known_rank));
  return bytes;
}

// A list message of a CollectionDef, added when it holds anything.
template <class F>
void append_collection_list(pbf_writer& writer, std::uint32_t number, bool wanted, F&& fill) {
  if (!wanted) return;
  pbf_writer list(writer, number);
  fill(list);
}

}  // namespace

std::string serialize(const AttrValue& value) {
  std::string bytes;
  pbf_writer writer(bytes);
  std::visit(AttrWriter{writer}, value.value);
  return bytes;
}

std::string serialize(const NodeDef& node) {
  if (!node.raw.empty()) return std::string(node.raw);
  std::string bytes;
  pbf_writer writer(bytes);
  append(writer, 1, node.name);
  append(writer, 2, node.op);
  for (const std::string& input : node.inputs) append(writer, 3, input);
  append_if_set(writer, 4, node.device);
  append_attrs(writer, 5, node.attrs);
  return bytes + node.other_fields;
}

std::string serialize(const FunctionDef& function) {
  if (!function.raw.empty()) return std::string(function.raw);
  std::string bytes;
  pbf_writer writer(bytes);
  append(writer, 1, serialize_function_signature(function));
  for (const NodeDef& node : function.nodes) append(writer, 3, serialize(node));
  for (const auto& [output, tensor] : function.ret) append_entry(writer, 4, output, tensor);
  append_attrs(writer, 5, function.attrs);
  for (const auto& [output, node] : function.control_ret) append_entry(writer, 6, output, node);
  for (const auto& [index, attrs] : function.arg_attrs) {
    pbf_writer entry(writer, 7);
    entry.add_uint32(1, index);
    append(entry, 2, serialize_arg_attrs(attrs));
  }
  return bytes + function.other_fields;
}

std::string serialize(const SignatureDef& signature) {
  if (!signature.raw.empty()) return std::string(signature.raw);
  std::string bytes;
  pbf_writer writer(bytes);
  for (const TensorInfo& info : signature.inputs) append_entry(writer, 1, info.key, serialize_tensor_info(info));
  for (const TensorInfo& info : signature.outputs) append_entry(writer, 2, info.key, serialize_tensor_info(info));
  append_if_set(writer, 3, signature.method_name);
  for (const SignatureDefault& value : signature.defaults) append_entry(writer, 4, value.key, value.value.proto());
  return bytes + signature.other_fields;
}

std::string serialize(const AssetFileDef& asset) {
  if (!asset.raw.empty()) return std::string(asset.raw);
  std::string bytes;
  pbf_writer writer(bytes);
  {
    pbf_writer tensor_info(writer, 1);
    append(tensor_info, 1, asset.tensor_name);
  }
  append(writer, 2, asset.filename);
  return bytes;
}

std::string serialize(const Collection& collection) {
  std::string bytes;
  pbf_writer writer(bytes);
  append_collection_list(writer, 1, !collection.node_list.empty(), [&](pbf_writer& list) {
    for (const std::string& name : collection.node_list) append(list, 1, name);
  });
  append_collection_list(writer, 2, !collection.bytes_list.empty(), [&](pbf_writer& list) {
    for (const std::string& value : collection.bytes_list) append(list, 1, value);
  });
  append_collection_list(writer, 3, !collection.int_list.empty(), [&](pbf_writer& list) {
    list.add_packed_int64(1, collection.int_list.begin(), collection.int_list.end());
  });
  append_collection_list(writer, 4, !collection.float_list.empty(), [&](pbf_writer& list) {
    list.add_packed_float(1, collection.float_list.begin(), collection.float_list.end());
  });
  append_collection_list(writer, 5, !collection.any_list.empty(), [&](pbf_writer& list) {
    for (const std::string& value : collection.any_list) append_entry(list, 1, collection.any_type_url, value);
  });
  return bytes;
}

}  // namespace tenon::saved
