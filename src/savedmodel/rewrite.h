// A model's message after edits.
#pragma once

#include <vector>

#include "savedmodel/wire_rope.h"
#include "savedmodel/write.h"

namespace tenon::saved {

// The SavedModel message; its pieces point into `model` and `edits`. Throws as write() does.
WireRope rewrite(const Model& model, const std::vector<MetaGraphEdit>& edits, bool only_edited = false);

// Pieces of signatures and collections; defined with the other messages in serialize.cc.
std::string serialize(const AssetFileDef& asset);
std::string serialize(const Collection& collection);

}  // namespace tenon::saved
