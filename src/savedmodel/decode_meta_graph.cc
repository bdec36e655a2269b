#include <unordered_map>
#include <utility>

#include "savedmodel/decode.h"
#include "savedmodel/wire.h"

namespace tenon::saved {
namespace {

constexpr std::string_view kAssetsCollection = "saved_model_assets";

// TensorInfo.CooSparse: three tensor names.
std::vector<std::string> decode_sparse(std::string_view bytes) {
  std::vector<std::string> names(3);
  for (Fields fields(bytes, "TensorInfo.CooSparse"); fields.next();) {
    if (fields.number() >= 1 && fields.number() <= 3) {
      names[fields.number() - 1] = fields.string();
    } else {
      fields.skip();
    }
  }
  return names;
}

TensorInfo decode_tensor_info(std::string_view bytes, int depth);

std::vector<std::string> decode_composite(std::string_view bytes, int depth) {
  check_depth(depth, "TensorInfo.CompositeTensor");
  std::vector<std::string> names;
  for (Fields fields(bytes, "TensorInfo.CompositeTensor"); fields.next();) {
    if (fields.number() != 2) {
      fields.skip();
      continue;
    }
    TensorInfo component = decode_tensor_info(fields.bytes(), depth + 1);
    if (component.kind == TensorInfo::Kind::kDense) names.push_back(std::move(component.name));
    for (std::string& name : component.components) names.push_back(std::move(name));
  }
  return names;
}

TensorInfo decode_tensor_info(std::string_view bytes, int depth) {
  TensorInfo info;
  info.raw = bytes;
  for (Fields fields(bytes, "TensorInfo"); fields.next();) {
    switch (fields.number()) {
      case 1:
        info.name = fields.string();
        info.kind = TensorInfo::Kind::kDense;
        break;
      case 2:
        info.dtype = fields.dtype();
        break;
      case 3:
        info.shape = decode_shape(fields.bytes());
        break;
      case 4:
        info.components = decode_sparse(fields.bytes());
        info.kind = TensorInfo::Kind::kSparse;
        break;
      case 5:
        info.components = decode_composite(fields.bytes(), depth);
        info.kind = TensorInfo::Kind::kComposite;
        break;
      default:
        fields.skip();
    }
  }
  return info;
}

// An entry of a map from name to message.
struct MapEntry {
  std::string key;
  std::string_view value;
};

MapEntry decode_map_entry(std::string_view bytes, const char* message) {
  MapEntry entry;
  for (Fields fields(bytes, message); fields.next();) {
    switch (fields.number()) {
      case 1:
        entry.key = fields.string();
        break;
      case 2:
        entry.value = fields.bytes();
        break;
      default:
        fields.skip();
    }
  }
  return entry;
}

// Of entries with one key the last counts; order stays.
template <class T>
void drop_overwritten(std::vector<T>& list, std::string T::*key) {
  std::unordered_map<std::string_view, const T*> last;
  for (const T& entry : list) last[entry.*key] = &entry;
  if (last.size() == list.size()) return;
  std::vector<T> kept;
  for (const T& entry : list) {
    if (last[entry.*key] == &entry) kept.push_back(entry);
  }
  list = std::move(kept);
}

TensorInfo decode_tensor_info_entry(std::string_view bytes) {
  MapEntry entry = decode_map_entry(bytes, "SignatureDef.TensorInfoEntry");
  TensorInfo info = decode_tensor_info(entry.value, 0);
  info.key = std::move(entry.key);
  return info;
}

void decode_asset(std::string_view bytes, std::vector<AssetFileDef>& assets) {
  AssetFileDef asset;
  asset.raw = bytes;
  for (Fields fields(bytes, "AssetFileDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        asset.tensor_name = decode_tensor_info(fields.bytes(), 0).name;
        break;
      case 2:
        asset.filename = fields.string();
        break;
      default:
        fields.skip();
    }
  }
  assets.push_back(std::move(asset));
}

void decode_any(std::string_view bytes, Collection& collection) {
  std::string& value = collection.any_list.emplace_back();
  for (Fields fields(bytes, "google.protobuf.Any"); fields.next();) {
    switch (fields.number()) {
      case 1:
        collection.any_type_url = fields.string();
        break;
      case 2:
        value = fields.string();
        break;
      default:
        fields.skip();
    }
  }
}

// NodeList, BytesList, Int64List, FloatList, AnyList: `each` gets the one field of each.
template <class F>
void decode_value_list(std::string_view bytes, F&& each) {
  for (Fields fields(bytes, "CollectionDef list"); fields.next();) {
    if (fields.number() == 1) {
      each(fields);
    } else {
      fields.skip();
    }
  }
}

Collection decode_collection(MapEntry entry) {
  Collection collection;
  collection.name = std::move(entry.key);
  collection.raw = entry.value;
  for (Fields fields(entry.value, "CollectionDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        decode_value_list(fields.bytes(), [&](Fields& list) { collection.node_list.push_back(list.string()); });
        break;
      case 2:
        decode_value_list(fields.bytes(), [&](Fields& list) { collection.bytes_list.push_back(list.string()); });
        break;
      case 3:
        decode_value_list(fields.bytes(), [&](Fields& list) {
          list.each_varint([&](std::uint64_t v) { collection.int_list.push_back(static_cast<std::int64_t>(v)); });
        });
        break;
      case 4:
        decode_value_list(fields.bytes(),
                          [&](Fields& list) { list.each_float([&](float v) { collection.float_list.push_back(v); }); });
        break;
      case 5:
        decode_value_list(fields.bytes(), [&](Fields& list) { decode_any(list.bytes(), collection); });
        break;
      default:
        fields.skip();
    }
  }
  return collection;
}

void decode_saver(std::string_view bytes, std::optional<SaverDef>& saver) {
  if (!saver) saver.emplace();
  for (Fields fields(bytes, "SaverDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        saver->filename_tensor = fields.string();
        break;
      case 2:
        saver->save_tensor = fields.string();
        break;
      case 3:
        saver->restore_op = fields.string();
        break;
      default:
        fields.skip();
    }
  }
}

void decode_meta_info(std::string_view bytes, MetaGraph& meta_graph) {
  for (Fields fields(bytes, "MetaInfoDef"); fields.next();) {
    switch (fields.number()) {
      case 4:
        meta_graph.tags.push_back(fields.string());
        break;
      case 5:
        meta_graph.tensorflow_version = fields.string();
        break;
      default:
        fields.skip();
    }
  }
}

void take_assets_from_collection(MetaGraph& meta_graph) {
  const Collection* collection = meta_graph.find_collection(kAssetsCollection);
  if (collection == nullptr || !meta_graph.assets.empty()) return;
  for (const std::string& asset : collection->any_list) {
    decode_asset(asset, meta_graph.assets);
    meta_graph.assets.back().raw = {};  // the collection's strings are copies
  }
}

}  // namespace

SignatureDef decode_signature(std::string_view bytes, const Storage& storage) {
  SignatureDef signature;
  signature.raw = bytes;
  for (Fields fields(bytes, "SignatureDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        signature.inputs.push_back(decode_tensor_info_entry(fields.bytes()));
        break;
      case 2:
        signature.outputs.push_back(decode_tensor_info_entry(fields.bytes()));
        break;
      case 3:
        signature.method_name = fields.string();
        break;
      case 4: {
        MapEntry entry = decode_map_entry(fields.bytes(), "SignatureDef.DefaultsEntry");
        signature.defaults.push_back({std::move(entry.key), TensorValue(entry.value, storage)});
        break;
      }
      default:
        fields.keep(signature.other_fields);
    }
  }
  drop_overwritten(signature.inputs, &TensorInfo::key);
  drop_overwritten(signature.outputs, &TensorInfo::key);
  drop_overwritten(signature.defaults, &SignatureDefault::key);
  return signature;
}

MetaGraph decode_meta_graph(std::string_view bytes, const Storage& storage) {
  MetaGraph meta_graph;
  meta_graph.raw = bytes;
  for (Fields fields(bytes, "MetaGraphDef"); fields.next();) {
    switch (fields.number()) {
      case 1:
        decode_meta_info(fields.bytes(), meta_graph);
        break;
      case 2:
        decode_graph(fields.bytes(), storage, meta_graph.graph);
        break;
      case 3:
        decode_saver(fields.bytes(), meta_graph.saver);
        break;
      case 4:
        meta_graph.collections.push_back(
            decode_collection(decode_map_entry(fields.bytes(), "MetaGraphDef.CollectionDefEntry")));
        break;
      case 5: {
        MapEntry entry = decode_map_entry(fields.bytes(), "MetaGraphDef.SignatureDefEntry");
        SignatureDef signature = decode_signature(entry.value, storage);
        signature.key = std::move(entry.key);
        meta_graph.signatures.push_back(std::move(signature));
        break;
      }
      case 6:
        decode_asset(fields.bytes(), meta_graph.assets);
        break;
      case 7:
        meta_graph.object_graph = fields.bytes();
        break;
      default:
        fields.skip();
    }
  }
  drop_overwritten(meta_graph.collections, &Collection::name);
  drop_overwritten(meta_graph.signatures, &SignatureDef::key);
  take_assets_from_collection(meta_graph);
  check_unique_names(meta_graph.graph);
  return meta_graph;
}

}  // namespace tenon::saved
