// A SavedModel as read from disk: meta graphs, functions, signatures, assets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "savedmodel/node_view.h"

namespace tenon::saved {

// The tensor behind one name of a signature.
struct TensorInfo {
  enum class Kind { kDense, kSparse, kComposite };
  std::string key;   // the signature's name for it
  std::string name;  // "node:0"; empty unless dense
  DataType dtype = DataType::kInvalid;
  PartialShape shape;
  Kind kind = Kind::kDense;
  // Sparse: values, indices, dense shape. Composite: its dense components, depth first. Tensor names.
  std::vector<std::string> components;
  std::string_view raw;  // TensorInfo as in the file; empty for a new one
};

// The value of an input that a caller may leave out.
struct SignatureDefault {
  std::string key;
  TensorValue value;
};

struct SignatureDef {
  std::string key;                  // "serving_default"
  std::vector<TensorInfo> inputs;   // in file order
  std::vector<TensorInfo> outputs;  // in file order
  std::string method_name;
  std::vector<SignatureDefault> defaults;
  std::string_view raw;      // SignatureDef as in the file; empty for a new or changed one
  std::string other_fields;  // serialized fields that this struct does not show

  const TensorInfo* find_input(std::string_view key) const noexcept;
  const TensorInfo* find_output(std::string_view key) const noexcept;
};

// A file below assets/ and the tensor (a string constant or placeholder) that receives its path.
struct AssetFileDef {
  std::string tensor_name;
  std::string filename;  // relative to assets/
  std::string_view raw;  // AssetFileDef as in the file; empty for a new one
};

// TF1's named lists: "legacy_init_op", "saved_model_main_op", "saved_model_assets", "variables", "table_initializer", ….
struct Collection {
  std::string name;
  // What it holds; one of these is filled. bytes_list also holds serialized VariableDefs, any_list the values of Any
  // messages.
  std::vector<std::string> node_list;
  std::vector<std::string> bytes_list;
  std::vector<std::int64_t> int_list;
  std::vector<float> float_list;
  std::vector<std::string> any_list;
  std::string any_type_url;  // of any_list's messages: "type.googleapis.com/tensorflow.AssetFileDef"
  std::string_view raw;      // CollectionDef as in the file
};

// How a TF1 session saves and restores; node and tensor names.
struct SaverDef {
  std::string filename_tensor;  // "save/Const:0": fed with "<dir>/variables/variables"
  std::string save_tensor;
  std::string restore_op;
};

struct GraphDef {
  std::vector<NodeDef> nodes;
  std::vector<FunctionDef> functions;
  int producer = 0;  // TensorFlow's graph version
  int min_consumer = 0;
  std::string_view raw;  // GraphDef as in the file; only set for a frozen graph
};

// TF2's objects, in file order; a child's id is its index here.
struct SavedObject {
  enum class Kind { kNone, kUserObject, kAsset, kFunction, kVariable, kBareFunction, kConstant, kResource, kCapturedTensor };
  struct Child {
    int id = 0;
    std::string name;
  };
  struct SlotVariable {
    int original = 0;
    std::string slot_name;
    int slot = 0;
  };
  Kind kind = Kind::kNone;
  std::vector<Child> children;
  std::vector<SlotVariable> slot_variables;
  // User object: its identifier ("signature_map", …). Function: concrete functions, for a bare one exactly one. Variable:
  // its name. Constant: the node in the graph. Resource: the device. Captured tensor: its name.
  std::string name;
  std::vector<std::string> concrete_functions;
  int asset_index = -1;                 // of an asset: into MetaGraph::assets
  DataType dtype = DataType::kInvalid;  // of a variable
  PartialShape shape;                   // of a variable
  bool trainable = false;               // of a variable
};

struct MetaGraph {
  std::vector<std::string> tags;
  std::string tensorflow_version;
  GraphDef graph;
  std::vector<SignatureDef> signatures;
  std::vector<AssetFileDef> assets;  // from asset_file_def, else from TF1's "saved_model_assets"
  std::vector<Collection> collections;
  std::optional<SaverDef> saver;
  std::string_view object_graph;  // serialized SavedObjectGraph; empty for TF1. See decode_object_graph.
  std::string_view raw;           // MetaGraphDef as in the file; empty for a frozen graph, see graph.raw

  const SignatureDef* find_signature(std::string_view key) const noexcept;
  const Collection* find_collection(std::string_view name) const noexcept;
  const FunctionDef* find_function(std::string_view name) const noexcept;
  const NodeDef* find_node(std::string_view name) const noexcept;
  // The node to run once after the variables are there: TF2's "__saved_model_init_op" signature, else the
  // "saved_model_main_op" or "legacy_init_op" collection; empty when there is none. Throws kInvalidModel when a collection
  // names several.
  std::string init_op() const;
};

// Signatures that are machinery, not for callers: "__saved_model_init_op", "__saved_model_train_op".
bool is_internal_signature(std::string_view key) noexcept;

struct Model {
  std::int64_t schema_version = 0;
  std::vector<MetaGraph> meta_graphs;
  std::filesystem::path directory;      // of a SavedModel; empty for a frozen graph and for a model in memory
  std::filesystem::path file;           // the graph's file
  bool frozen_graph = false;            // read from a bare GraphDef: one meta graph without signatures
  std::string other_fields;             // serialized fields of SavedModel that this struct does not show
  std::shared_ptr<const void> storage;  // what all `raw` views and borrowed tensors point into

  // The meta graph with exactly these tags, in any order. Without tags: the only one, else the one tagged just "serve".
  // Throws kNotFound listing what there is.
  const MetaGraph& meta_graph(const std::vector<std::string>& tags = {}) const;
  // "<directory>/variables/variables", or empty when there is no file of that name with any ending.
  std::filesystem::path variables_prefix() const;
  // Where an asset lies. Throws kInvalidModel when its name leads out of the assets folder.
  std::filesystem::path asset_path(const AssetFileDef& asset) const;
};

// TF2's object graph; empty for TF1. Throws kInvalidModel.
std::vector<SavedObject> decode_object_graph(const MetaGraph& meta_graph);

}  // namespace tenon::saved
