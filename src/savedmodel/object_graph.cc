#include <utility>

#include "savedmodel/decode.h"
#include "savedmodel/wire.h"

namespace tenon::saved {
namespace {

using Kind = SavedObject::Kind;

SavedObject::Child decode_child(std::string_view bytes) {
  SavedObject::Child child;
  for (Fields fields(bytes, "ObjectReference"); fields.next();) {
    switch (fields.number()) {
      case 1:
        child.id = fields.int32();
        break;
      case 2:
        child.name = fields.string();
        break;
      default:
        fields.skip();
    }
  }
  return child;
}

SavedObject::SlotVariable decode_slot_variable(std::string_view bytes) {
  SavedObject::SlotVariable slot;
  for (Fields fields(bytes, "SlotVariableReference"); fields.next();) {
    switch (fields.number()) {
      case 1:
        slot.original = fields.int32();
        break;
      case 2:
        slot.slot_name = fields.string();
        break;
      case 3:
        slot.slot = fields.int32();
        break;
      default:
        fields.skip();
    }
  }
  return slot;
}

void decode_variable(std::string_view bytes, SavedObject& object) {
  for (Fields fields(bytes, "SavedVariable"); fields.next();) {
    switch (fields.number()) {
      case 1:
        object.dtype = fields.dtype();
        break;
      case 2:
        object.shape = decode_shape(fields.bytes());
        break;
      case 3:
        object.trainable = fields.boolean();
        break;
      case 6:
        object.name = fields.string();
        break;
      default:
        fields.skip();
    }
  }
}

// Messages of which only field 1 matters: a string (user object, constant, resource, captured tensor) or strings
// (functions).
std::vector<std::string> decode_first_strings(std::string_view bytes, const char* message) {
  std::vector<std::string> strings;
  for (Fields fields(bytes, message); fields.next();) {
    if (fields.number() == 1) {
      strings.push_back(fields.string());
    } else {
      fields.skip();
    }
  }
  return strings;
}

int decode_asset_index(std::string_view bytes) {
  int index = 0;
  for (Fields fields(bytes, "SavedAsset"); fields.next();) {
    if (fields.number() == 1) {
      index = fields.int32();
    } else {
      fields.skip();
    }
  }
  return index;
}

void decode_named(std::string_view bytes, const char* message, Kind kind, SavedObject& object) {
  std::vector<std::string> strings = decode_first_strings(bytes, message);
  object.kind = kind;
  if (kind == Kind::kFunction || kind == Kind::kBareFunction) {
    object.concrete_functions = std::move(strings);
  } else if (!strings.empty()) {
    object.name = std::move(strings.back());
  }
}

SavedObject decode_object(std::string_view bytes) {
  SavedObject object;
  for (Fields fields(bytes, "SavedObject"); fields.next();) {
    switch (fields.number()) {
      case 1:
        object.children.push_back(decode_child(fields.bytes()));
        break;
      case 3:
        object.slot_variables.push_back(decode_slot_variable(fields.bytes()));
        break;
      case 4:
        decode_named(fields.bytes(), "SavedUserObject", Kind::kUserObject, object);
        break;
      case 5:
        object.kind = Kind::kAsset;
        object.asset_index = decode_asset_index(fields.bytes());
        break;
      case 6:
        decode_named(fields.bytes(), "SavedFunction", Kind::kFunction, object);
        break;
      case 7:
        object.kind = Kind::kVariable;
        decode_variable(fields.bytes(), object);
        break;
      case 8:
        decode_named(fields.bytes(), "SavedBareConcreteFunction", Kind::kBareFunction, object);
        break;
      case 9:
        decode_named(fields.bytes(), "SavedConstant", Kind::kConstant, object);
        break;
      case 10:
        decode_named(fields.bytes(), "SavedResource", Kind::kResource, object);
        break;
      case 12:
        decode_named(fields.bytes(), "CapturedTensor", Kind::kCapturedTensor, object);
        break;
      default:
        fields.skip();
    }
  }
  return object;
}

void check_references(const std::vector<SavedObject>& objects, std::size_t assets) {
  const auto is_object = [&](int id) { return id >= 0 && static_cast<std::size_t>(id) < objects.size(); };
  for (std::size_t i = 0; i < objects.size(); ++i) {
    for (const SavedObject::Child& child : objects[i].children) {
      if (!is_object(child.id)) {
        fail(ErrorCode::kInvalidModel, "object graph: child \"{}\" of object {} is object {}, but there are {}", child.name,
             i, child.id, objects.size());
      }
    }
    for (const SavedObject::SlotVariable& slot : objects[i].slot_variables) {
      if (!is_object(slot.original) || !is_object(slot.slot)) {
        fail(ErrorCode::kInvalidModel, "object graph: slot variable \"{}\" of object {} does not exist", slot.slot_name, i);
      }
    }
    if (objects[i].kind == Kind::kAsset &&
        (objects[i].asset_index < 0 || static_cast<std::size_t>(objects[i].asset_index) >= assets)) {
      fail(ErrorCode::kInvalidModel, "object graph: object {} is asset {}, but there are {}", i, objects[i].asset_index,
           assets);
    }
  }
}

}  // namespace

std::vector<SavedObject> decode_object_graph(const MetaGraph& meta_graph) {
  std::vector<SavedObject> objects;
  for (Fields fields(meta_graph.object_graph, "SavedObjectGraph"); fields.next();) {
    if (fields.number() == 1) {
      objects.push_back(decode_object(fields.bytes()));
    } else {
      fields.skip();
    }
  }
  check_references(objects, meta_graph.assets.size());
  return objects;
}

}  // namespace tenon::saved
