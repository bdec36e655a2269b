// A graph of a converted model as NodeDefs: what is not in an engine, reading engines' results where segments were.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "partition/partition.h"
#include "savedmodel/model.h"

namespace tenon::exporter {

// Which segment a node is in, and which engine's result a value became.
struct SegmentIndex {
  explicit SegmentIndex(const std::vector<const partition::SegmentPlan*>& plans);
  std::unordered_map<const ir::Node*, const partition::SegmentPlan*> inside;
  std::unordered_map<ir::Value, std::pair<const partition::SegmentPlan*, int>, ir::ValueHash> outputs;
  std::unordered_set<const ir::Node*> constants;  // that segments copied
};

class GraphWriter {
 public:
  // `function`: the graph is a function's body, whose tensors are called in another way. `pinned` nodes stay although only engines
  // read them. `only`: other nodes go; null: all may stay.
  GraphWriter(const ir::Graph& graph, bool function, const SegmentIndex& index, const std::unordered_set<const ir::Node*>& pinned,
              const std::unordered_set<const ir::Node*>* only = nullptr);

  // What a value is called outside its segment.
  std::string value_name(const ir::Value& value) const;
  // What runs the node: its own name or its engine's; empty when it is gone.
  std::string control_name(const ir::Node& node) const;
  // Operands of an engine's node, control edges last.
  std::vector<std::string> engine_inputs(const partition::SegmentPlan& plan) const;
  // The nodes that stay, without engines.
  std::vector<std::pair<const ir::Node*, saved::NodeDef>> nodes() const;

 private:
  void find_kept(const std::unordered_set<const ir::Node*>& pinned, const std::unordered_set<const ir::Node*>* only);
  saved::NodeDef write(const ir::Node& node) const;

  const ir::Graph& graph_;
  const bool function_;
  const SegmentIndex& index_;
  std::unordered_set<const ir::Node*> kept_;
};

}  // namespace tenon::exporter
