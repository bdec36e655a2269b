// Conversion in steps and the engines of its nodes, for tenon.trt_convert. Structures cross as dictionaries.
#include <Python.h>

#include <cctype>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "bindings_report.h"
#include "tenon/conversion.h"
#include "tenon/engine.h"

namespace nb = nanobind;

namespace tenon_python {
namespace {

using tenon::Conversion;
using tenon::EngineResource;
using tenon::ErrorCode;

std::string text_of(nb::handle value) { return nb::cast<std::string>(value); }

nb::bytes to_bytes(const std::string& content) { return nb::bytes(content.data(), content.size()); }

std::string from_bytes(const nb::bytes& content) { return {content.c_str(), content.size()}; }

tenon::ShapeMode mode_of(const std::string& name) {
  if (name == "any") return tenon::ShapeMode::kAnyShape;
  if (name == "implicit") return tenon::ShapeMode::kImplicitBatch;
  if (name == "profiles") return tenon::ShapeMode::kProfiles;
  throw tenon::Error(ErrorCode::kInvalidArgument, "mode must be any, implicit or profiles, not \"" + name + "\"");
}

// Reports to Python and sees Ctrl-C; an exception of the callee ends the conversion.
std::function<void(std::string_view, double)> progress_of(const nb::object& callee) {
  // Options are copied and dropped without the GIL.
  const std::shared_ptr<nb::object> kept(new nb::object(callee), [](nb::object* object) {
    const nb::gil_scoped_acquire gil;
    delete object;
  });
  return [kept](std::string_view what, double done) {
    const nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (!kept->is_none()) (*kept)(to_text(std::string(what)), done);
  };
}

tenon::ConversionOptions conversion_options(const nb::dict& given) {
  tenon::ConversionOptions options;
  nb::object progress = nb::none();
  for (const auto& [key, value] : given) {
    const std::string name = text_of(key);
    if (name == "tags") options.tags = nb::cast<std::vector<std::string>>(value);
    else if (name == "signature_key") options.signature_key = text_of(value);
    else if (name == "precision") options.precision = text_of(value);
    else if (name == "minimum_segment_size") options.minimum_segment_size = nb::cast<int>(value);
    else if (name == "op_denylist") options.op_denylist = nb::cast<std::vector<std::string>>(value);
    else if (name == "node_denylist") options.node_denylist = nb::cast<std::vector<std::string>>(value);
    else if (name == "mode") options.mode = mode_of(text_of(value));
    else if (name == "strategy") options.strategy = tenon::profile_strategy_from_name(text_of(value));
    else if (name == "maximum_cached_engines") options.maximum_cached_engines = nb::cast<int>(value);
    else if (name == "max_workspace_size_bytes") options.max_workspace_size_bytes = nb::cast<std::int64_t>(value);
    else if (name == "use_calibration") options.use_calibration = nb::cast<bool>(value);
    else if (name == "freeze") options.freeze = nb::cast<bool>(value);
    else if (name == "freeze_limit") options.freeze_limit = nb::cast<std::int64_t>(value);
    else if (name == "maximum_engines") options.maximum_engines = nb::cast<int>(value);
    else if (name == "graph_number") options.graph_number = nb::cast<int>(value);
    else if (name == "threads") options.threads = nb::cast<int>(value);
    else if (name == "progress") progress = nb::borrow(value);
    else throw tenon::Error(ErrorCode::kInvalidArgument, "a conversion has no option \"" + name + "\"");
  }
  options.progress = progress_of(progress);
  return options;
}

tenon::WriteModelOptions write_options(const nb::dict& given) {
  tenon::WriteModelOptions options;
  for (const auto& [key, value] : given) {
    const std::string name = text_of(key);
    if (name == "allow_build_at_runtime") options.allow_build_at_runtime = nb::cast<bool>(value);
    else if (name == "remove_native_segments") options.remove_native_segments = nb::cast<bool>(value);
    else if (name == "save_engines") options.save_engines = nb::cast<bool>(value);
    else if (name == "in_process") options.in_process = nb::cast<bool>(value);
    else if (name == "replace") options.replace = nb::cast<bool>(value);
    else if (name == "engines") {
      for (const auto& [engine, content] : nb::cast<nb::dict>(value)) {
        options.engines.emplace(text_of(engine), from_bytes(nb::cast<nb::bytes>(content)));
      }
    } else throw tenon::Error(ErrorCode::kInvalidArgument, "writing has no option \"" + name + "\"");
  }
  return options;
}

nb::list to_shapes(const std::vector<tenon::ShapeSpec>& specs) {
  nb::list list;
  for (const tenon::ShapeSpec& spec : specs) list.append(spec.known_rank ? nb::cast(spec.dims) : nb::object(nb::none()));
  return list;
}

nb::list to_names(const std::vector<tenon::DataType>& types) {
  nb::list list;
  for (const tenon::DataType type : types) list.append(std::string(tenon::dtype_name(type)));
  return list;
}

nb::list engines_of(const Conversion& conversion) {
  nb::list list;
  for (const tenon::ConvertedEngine& engine : conversion.engines()) {
    nb::dict ops;
    for (const auto& [op, count] : engine.ops) ops[to_text(op)] = count;
    nb::dict entry;
    entry["name"] = to_text(engine.name);
    entry["identity"] = to_text(engine.identity);
    entry["nodes"] = engine.nodes;
    entry["ops"] = ops;
    entry["input_types"] = to_names(engine.attributes.input_types);
    entry["output_types"] = to_names(engine.attributes.output_types);
    entry["input_shapes"] = to_shapes(engine.attributes.input_shapes);
    entry["output_shapes"] = to_shapes(engine.output_shapes);
    entry["in_main_graph"] = engine.in_main_graph;
    list.append(entry);
  }
  return list;
}

nb::list entries_of(const EngineResource& resource) {
  nb::list list;
  for (const tenon::EngineEntry& entry : resource.entries()) {
    const tenon::ShapeProfile& profile = entry.profile;
    nb::dict found;
    found["unlimited"] = entry.unlimited;
    found["min"] = profile.min;
    found["opt"] = profile.opt;
    found["max"] = profile.max;
    found["min_values"] = profile.min_values;
    found["opt_values"] = profile.opt_values;
    found["max_values"] = profile.max_values;
    found["failure"] = to_text(entry.failure);
    found["calls"] = entry.calls;
    list.append(found);
  }
  return list;
}

// One call of an engine outside any model: (ran, reason, results). `library` and `function` are the segment that an engine is built
// from; constants are not handed in.
nb::tuple run(EngineResource& resource, const nb::list& arrays, const nb::bytes& library, const std::string& function, int outputs) {
  std::vector<tenon::Tensor> inputs;
  for (const nb::handle array : arrays) inputs.push_back(to_tensor(nb::cast<nb::tuple>(array)));
  std::vector<tenon::TensorView> views;
  for (const tenon::Tensor& input : inputs) views.push_back(tenon::TensorView::of(input));
  const tenon::SegmentFunction segment{from_bytes(library), function, std::vector<tenon::Tensor>(inputs.size())};
  const std::function<tenon::SegmentFunction()> make_segment = [&] { return segment; };
  std::vector<tenon::Tensor> results(static_cast<std::size_t>(outputs));
  tenon::EngineCall call;
  {
    const nb::gil_scoped_release no_gil;
    tenon::TensorAllocator allocator(results);
    call = resource.run(views, allocator, {true, &make_segment});
  }
  nb::list made;
  if (call.ran) {
    for (const tenon::Tensor& result : results) made.append(to_python(result));
  }
  return nb::make_tuple(call.ran, to_text(call.reason), made);
}

void register_resource(nb::module_& module) {
  nb::class_<EngineResource>(module, "EngineResource")
      .def_static("find", &EngineResource::find)
      .def("run", &run)
      .def("collect_shapes", &EngineResource::collect_shapes, nb::call_guard<nb::gil_scoped_release>())
      .def("set_profiling", &EngineResource::set_profiling, nb::call_guard<nb::gil_scoped_release>())
      .def("profile", [](const EngineResource& resource) { return profile_list(resource.profile()); })
      .def("clear", &EngineResource::clear, nb::call_guard<nb::gil_scoped_release>())
      .def("has_engine", &EngineResource::has_engine, nb::call_guard<nb::gil_scoped_release>())
      .def("entries", &entries_of)
      .def("serialize",
           [](const EngineResource& resource) {
             std::string content;
             {
               const nb::gil_scoped_release no_gil;
               content = resource.serialize();
             }
             return to_bytes(content);
           })
      .def("calls", &EngineResource::calls)
      .def("native_calls", &EngineResource::native_calls)
      .def("build_seconds", &EngineResource::build_seconds)
      .def("identity", [](const EngineResource& resource) { return to_text(resource.identity()); });
}

}  // namespace

void register_conversion(nb::module_& module) {
  register_resource(module);
  module.def("native_segments_allowed", &tenon::native_segments_allowed);
  nb::class_<Conversion>(module, "Conversion")
      .def_static("open",
                  [](const std::string& folder, const nb::dict& given) {
                    const tenon::ConversionOptions options = conversion_options(given);
                    const nb::gil_scoped_release no_gil;
                    return Conversion::open(folder, options);
                  })
      .def_static("open_graph",
                  [](const nb::bytes& graph_def, const std::vector<std::string>& outputs, const nb::dict& given) {
                    const tenon::ConversionOptions options = conversion_options(given);
                    const std::string content = from_bytes(graph_def);
                    const nb::gil_scoped_release no_gil;
                    return Conversion::open_graph(content, outputs, options);
                  })
      .def("engines", &engines_of)
      .def("nodes", [](const Conversion& conversion) { return nodes_list(conversion.nodes()); })
      .def("main_graph_nodes", &Conversion::main_graph_nodes)
      .def("report", [](const Conversion& conversion) { return to_text(conversion.report().to_json()); })
      .def("resource", &Conversion::resource)
      .def("write",
           [](const Conversion& conversion, const std::string& folder, const nb::dict& given) {
             const tenon::WriteModelOptions options = write_options(given);
             const nb::gil_scoped_release no_gil;
             conversion.write(folder, options);
           })
      .def("graph_def", [](const Conversion& conversion, const nb::dict& given) {
        const tenon::WriteModelOptions options = write_options(given);
        std::string graph;
        {
          const nb::gil_scoped_release no_gil;
          graph = conversion.graph_def(options);
        }
        return to_bytes(graph);
      });
}

}  // namespace tenon_python
