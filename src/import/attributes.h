// Attributes of a NodeDef as IR attributes.
#pragma once

#include "ir/attributes.h"
#include "savedmodel/node_view.h"

namespace tenon::importer {

// Placeholders of polymorphic functions are looked up in `caller`. Unknown dimensions become fresh symbols.
ir::Attrs convert_attrs(const saved::AttrMap& attrs, const ir::Attrs& caller, SymbolSource& symbols);
PartialShape convert_shape(const saved::PartialShape& shape, SymbolSource& symbols);

}  // namespace tenon::importer
