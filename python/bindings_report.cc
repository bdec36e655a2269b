#include "bindings_report.h"

namespace nb = nanobind;

namespace tenon_python {

nb::str to_text(const std::string& name) {
  return nb::steal<nb::str>(PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "replace"));
}

nb::list to_texts(const std::vector<std::string>& names) {
  nb::list list;
  for (const std::string& name : names) list.append(to_text(name));
  return list;
}

nb::list nodes_list(const std::vector<tenon::ConvertedNode>& nodes) {
  nb::list list;
  for (const tenon::ConvertedNode& node : nodes) {
    nb::dict entry;
    entry["name"] = to_text(node.name);
    entry["op"] = to_text(node.op);
    entry["engine"] = to_text(node.engine);
    entry["reason"] = to_text(node.reason);
    entry["inputs"] = to_texts(node.inputs);
    list.append(entry);
  }
  return list;
}

nb::list profile_list(const std::vector<tenon::ProfileEntry>& entries) {
  nb::list list;
  for (const tenon::ProfileEntry& step : entries) {
    nb::dict entry;
    entry["node"] = to_text(step.node);
    entry["op"] = to_text(step.op_type);
    entry["kernel"] = to_text(step.kernel);
    entry["shape"] = to_text(step.shape);
    entry["engine"] = to_text(step.engine);
    entry["ms"] = 1e3 * step.seconds;
    entry["flops"] = step.flops;
    entry["merged"] = to_texts(step.merged);
    list.append(entry);
  }
  return list;
}

}  // namespace tenon_python
