// The kernel of TRTEngineOp.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tenon/engine.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tfplugin/engine_file_resource.h"
#include "tfplugin/engine_node.h"
#include "tfplugin/native_segment.h"
#include "tfplugin/registration.h"
#include "tfplugin/status.h"
#include "tfplugin/tensors.h"

namespace tenon::tf {
namespace {

using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;

// What is warned of. Messages of one kind are for the first few calls of a process.
enum class Event { kForeign, kNative, kRefused };
constexpr int kEvents = 3, kWarnings = 20;

void warn(Event event, const std::string& node, const std::string& line) {
  static std::atomic<int> counts[kEvents];
  const int number = counts[static_cast<int>(event)].fetch_add(1, std::memory_order_relaxed);
  if (number < kWarnings) LOG(WARNING) << "Tenon: " << node << ": " << line;
  if (number == kWarnings - 1) LOG(WARNING) << "Tenon: no more warnings of this kind are written in this process";
}

// The stored engines' file begins with this; whatever else stands in serialized_segment is TensorRT's.
constexpr std::string_view kPlanMagic = "TENONPLN";

template <class T>
T attribute_or(OpKernelConstruction* context, const char* name, T fallback) {
  T value;
  return context->HasAttr(name) && context->GetAttr(name, &value).ok() ? value : fallback;
}

std::string last_part(const std::string& name) { return name.substr(name.rfind('/') + 1); }

std::vector<DataType> dtypes_of(tensorflow::DataTypeSlice types) {
  std::vector<DataType> result;
  for (const tensorflow::DataType type : types) result.push_back(static_cast<DataType>(static_cast<int>(type)));
  return result;
}

std::vector<ShapeSpec> shapes_of(const std::vector<tensorflow::PartialTensorShape>& shapes) {
  std::vector<ShapeSpec> result;
  for (const tensorflow::PartialTensorShape& shape : shapes) {
    ShapeSpec spec;
    spec.known_rank = !shape.unknown_rank();
    for (int axis = 0; axis < shape.dims(); ++axis) spec.dims.push_back(shape.dim_size(axis));
    result.push_back(std::move(spec));
  }
  return result;
}

NodeSettings settings_of(OpKernelConstruction* context) {
  using Shapes = std::vector<tensorflow::PartialTensorShape>;
  NodeSettings settings;
  settings.identity = attribute_or<std::string>(context, "_tenon_engine", {});
  EngineAttributes& attributes = settings.attributes;
  attributes.name = last_part(context->def().name());
  const bool implicit_batch = attribute_or(context, "_use_implicit_batch", true);
  const std::string strategy = attribute_or<std::string>(context, "profile_strategy", {});
  attributes.mode = shape_mode(implicit_batch, strategy);
  if (attributes.mode == ShapeMode::kProfiles) attributes.strategy = profile_strategy_from_name(strategy);
  attributes.precision = attribute_or<std::string>(context, "precision_mode", "FP32");
  attributes.maximum_cached_engines =
      static_cast<int>(std::clamp<std::int64_t>(attribute_or<std::int64_t>(context, "max_cached_engines_count", 1), 1, 1 << 20));
  attributes.input_types = dtypes_of(context->input_types());
  attributes.output_types = dtypes_of(context->output_types());
  attributes.input_shapes = shapes_of(attribute_or<Shapes>(context, "input_shapes", {}));
  if (const auto* workers = context->device()->tensorflow_cpu_worker_threads(); workers != nullptr) {
    attributes.threads = workers->num_threads;
  }
  settings.allow_build = attribute_or(context, "_allow_build_at_runtime", true);
  if (context->HasAttr("_profile_generation_mode")) {
    settings.collect_shapes = attribute_or(context, "_profile_generation_mode", false);
  }
  if (settings.collect_shapes == true && attributes.mode == ShapeMode::kImplicitBatch) {
    throw Error(ErrorCode::kInvalidArgument, "profile_generation_mode is only supported in explicit batch mode");
  }
  if (attributes.mode == ShapeMode::kProfiles && attributes.input_shapes.empty() && !attributes.input_types.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "explicit batch mode needs the attribute input_shapes, one per input");
  }
  std::string stored = attribute_or<std::string>(context, "serialized_segment", {});
  if (stored.starts_with(kPlanMagic)) settings.stored = std::move(stored);
  return settings;
}

// The segment's function; old converters name it in another attribute.
tensorflow::NameAttrList segment_of(OpKernelConstruction* context) {
  auto function = attribute_or<tensorflow::NameAttrList>(context, "segment_func", {});
  if (function.name().empty()) function.set_name(attribute_or<std::string>(context, "segment_funcdef_name", {}));
  return function;
}

// What Tenon's executor may be able to compute although TensorFlow's kernels are not.
bool is_refusal(const absl::Status& status) {
  return absl::IsUnimplemented(status) || absl::IsInvalidArgument(status) || absl::IsNotFound(status);
}

class EngineOp : public tensorflow::AsyncOpKernel {
 public:
  explicit EngineOp(OpKernelConstruction* context) : AsyncOpKernel(context), native_(segment_of(context)) {
    const absl::Status status = caught([&] {
      NodeSettings settings = settings_of(context);
      settings.has_native_segment = native_.exists();
      node_ = std::make_unique<EngineNode>(std::move(settings));
    });
    OP_REQUIRES_OK(context, status);
  }

  void ComputeAsync(OpKernelContext* context, DoneCallback done) override {
    NodeAnswer answer;
    const absl::Status status = caught([&] { answer = run(context); });
    OP_REQUIRES_OK_ASYNC(context, status, done);
    if (answer.by == NodeAnswer::By::kEngine) return done();
    if (answer.by == NodeAnswer::By::kNothing) {
      OP_REQUIRES_ASYNC(
          context, native_.exists(),
          absl::AbortedError(absl::StrCat(name(), ": the engine could not run (", answer.reason,
                                          ") and the model has no native segment: convert it again with native segments")),
          done);
      context->CtxFailure(absl::AbortedError(absl::StrCat(kNativeRefused, " ", name(), ": ", answer.reason)));
      return done();
    }
    explain(answer);
    run_natively(context, std::move(done));
  }

 private:
  class Host : public NodeHost {
   public:
    Host(OpKernelContext* context, const NativeSegment& native) : context_(context), native_(native) {}

    std::string engine_file(const std::string& identity) override {
      tensorflow::core::RefCountPtr<EngineFileResource> resource;
      EngineFileResource* found = nullptr;
      if (context_->resource_manager()->Lookup(kContainer, identity, &found).ok()) {
        resource.reset(found);
        return resource->file().path();
      }
      return find_engine_file(identity);
    }
    SegmentFunction segment() override { return native_.source(context_); }

   private:
    OpKernelContext* const context_;
    const NativeSegment& native_;
  };

  NodeAnswer run(OpKernelContext* context) {
    const InputViews inputs(context, {});
    OutputTensors outputs(context);
    Host host(context, native_);
    NodeAnswer answer = node_->run(inputs.views(), outputs, host);
    if (answer.by == NodeAnswer::By::kEngine && !outputs.publish()) {
      return {NodeAnswer::By::kNative, "the engine has fewer results than the node"};
    }
    return answer;
  }

  // The native segment by TensorFlow; what TensorFlow has no kernels for, by Tenon.
  void run_natively(OpKernelContext* context, DoneCallback done) {
    if (refused_.load(std::memory_order_relaxed) && run_by_tenon(context).ok()) return done();
    native_.run(context, [this, context, done = std::move(done)](const absl::Status& status,
                                                                 std::vector<tensorflow::Tensor> results) {
      if (status.ok()) {
        for (std::size_t i = 0; i < results.size(); ++i) context->set_output(static_cast<int>(i), std::move(results[i]));
      } else if (is_refusal(status) && run_by_tenon(context).ok()) {
        if (!refused_.exchange(true)) {
          warn(Event::kRefused, name(),
               absl::StrCat("TensorFlow refuses the native segment (", status.message(), "), Tenon runs it"));
        }
      } else {
        context->CtxFailure(status);
      }
      done();
    });
  }

  absl::Status run_by_tenon(OpKernelContext* context) {
    return caught([&] {
      std::vector<Tensor> inputs;
      for (int i = 0; i < context->num_inputs(); ++i) inputs.push_back(borrow(context->input(i)));
      Host host(context, native_);
      const std::vector<Tensor> results = node_->run_natively(inputs, host);
      if (static_cast<int>(results.size()) != context->num_outputs())
        throw Error(ErrorCode::kInternal, "results are missing");
      std::vector<tensorflow::Tensor> copies;
      for (const Tensor& result : results) copies.push_back(copy(result));
      for (std::size_t i = 0; i < copies.size(); ++i) context->set_output(static_cast<int>(i), std::move(copies[i]));
    });
  }

  // Says once per kernel why it does not use an engine.
  void explain(const NodeAnswer& answer) {
    if (!answer.notable || explained_.exchange(true, std::memory_order_relaxed)) return;
    if (node_->settings().identity.empty()) {
      warn(Event::kForeign, name(),
           "TF-TRT made it and it runs natively; convert the model again with Tenon, or set TENON_BUILD_FOREIGN_ENGINES=1");
    } else if (node_->settings().collect_shapes != true) {
      warn(Event::kNative, name(), "runs natively: " + answer.reason);
    }
  }

  NativeSegment native_;
  std::unique_ptr<EngineNode> node_;
  std::atomic<bool> explained_{false};
  std::atomic<bool> refused_{false};
};

}  // namespace

void register_engine_kernel() {
  REGISTER_KERNEL_BUILDER(Name("TRTEngineOp").Device(tensorflow::DEVICE_CPU), EngineOp);
  // Tenon's own events go where TensorFlow's do.
  set_engine_log([](const char* line) { LOG(WARNING) << "Tenon: " << line; });
}

}  // namespace tenon::tf
