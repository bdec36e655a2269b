// From wire format to the structs of node_view.h and model.h. Everything throws kInvalidModel for malformed bytes.
#pragma once

#include <memory>
#include <string_view>

#include "savedmodel/model.h"

namespace tenon::saved {

using Storage = std::shared_ptr<const void>;  // keeps the decoded bytes alive

PartialShape decode_shape(std::string_view bytes);
AttrValue decode_attr(std::string_view bytes, const Storage& storage, int depth = 0);
NodeDef decode_node(std::string_view bytes, const Storage& storage);
FunctionDef decode_function(std::string_view bytes, const Storage& storage);
// Adds to `graph`: a message may come in several pieces.
void decode_graph(std::string_view bytes, const Storage& storage, GraphDef& graph);
SignatureDef decode_signature(std::string_view bytes, const Storage& storage);
MetaGraph decode_meta_graph(std::string_view bytes, const Storage& storage);

// Throws kInvalidModel when a node, a function, or a node in a function is there twice. A function that is there twice to
// the letter is kept once, as TensorFlow does.
void check_unique_names(GraphDef& graph);

}  // namespace tenon::saved
