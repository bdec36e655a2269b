// Names as text, and what reports are made of as lists of dictionaries.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "tenon/convert.h"
#include "tenon/session.h"

namespace tenon_python {

// A name; of a hostile model it may be no UTF-8, and what is not is replaced.
nanobind::str to_text(const std::string& name);
nanobind::list to_texts(const std::vector<std::string>& names);

// Keys name, op, engine, reason, inputs.
nanobind::list nodes_list(const std::vector<tenon::ConvertedNode>& nodes);
// Keys node, op, kernel, shape, engine, ms, flops, merged.
nanobind::list profile_list(const std::vector<tenon::ProfileEntry>& entries);

}  // namespace tenon_python
