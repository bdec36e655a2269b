// Builds IR graphs from lists of NodeDefs: the main graph and function bodies, with calls inlined.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/module.h"
#include "savedmodel/model.h"

namespace tenon::importer {

class GraphBuilder {
 public:
  // `open_foreign_engines` as in ImportOptions.
  GraphBuilder(const saved::MetaGraph& meta_graph, std::shared_ptr<const void> keep_alive, ir::Module& module, bool open_foreign_engines);

  // The top graph, calls not yet inlined.
  std::unique_ptr<ir::Graph> build_main();
  // Replaces the calls that `roots` depend on by the bodies of their functions, nested ones too.
  void inline_calls(ir::Graph& graph, const std::vector<ir::Node*>& roots);
  // Imports the functions that nodes of `graph` name as attributes, and those these name, into the module. Calls count only where
  // `roots` depend on them. A polymorphic function is there once for each set of attributes that it is named with; the references
  // are renamed to their instance.
  void import_referenced(ir::Graph& graph, const std::vector<ir::Node*>& roots);

 private:
  struct Pending {  // a node made, its operands still names
    ir::Node* node;
    const saved::NodeDef* def;
  };
  const saved::FunctionDef* function_called_as_op(const saved::NodeDef& def) const;
  ir::Node* add_call_as_op(ir::Graph& graph, const saved::NodeDef& def, const saved::FunctionDef& function, ir::Attrs attrs);
  bool is_opened(const ir::Node& engine) const;
  ir::Node* add_node(ir::Graph& graph, const saved::NodeDef& def, const ir::Attrs& caller);
  std::unique_ptr<ir::Graph> build_function(const saved::FunctionDef& function, const ir::Attrs& caller);
  ir::Value resolve_in_main(const ir::Graph& graph, const ir::Node& consumer, std::string_view name) const;
  ir::Value resolve_in_function(const std::unordered_map<std::string_view, ir::Node*>& nodes, const ir::Graph& graph,
                                const std::string& who, std::string_view name) const;
  void inline_call(ir::Graph& graph, ir::Node& call, const ir::Graph& body, ir::Node* tie);
  static ir::Node* tie_to_frame(ir::Graph& graph, const ir::Node& call);
  std::size_t inlined_size(const saved::FunctionDef& function, std::size_t depth);
  const saved::FunctionDef* find_function(std::string_view name) const;
  std::string instance_name(const saved::FunctionDef& function, const ir::Attrs& attrs);
  std::unique_ptr<ir::Graph> instantiate(const saved::FunctionDef& function, const ir::Attrs& attrs);

  const saved::MetaGraph& meta_graph_;
  std::shared_ptr<const void> keep_alive_;
  ir::Module& module_;
  const bool open_foreign_engines_;
  std::unordered_map<std::string_view, const saved::FunctionDef*> functions_;
  std::unordered_map<const saved::FunctionDef*, std::size_t> inlined_sizes_;
  std::unordered_map<const saved::FunctionDef*, std::map<std::string, std::string>> instances_;  // attributes as text -> name
  std::vector<std::string> stack_;  // functions being inlined, outermost first
};

}  // namespace tenon::importer
