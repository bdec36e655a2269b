// The kernels of the ops around TRTEngineOp: where stored engines are, and writing them.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "tenon/engine.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tfplugin/engine_file_resource.h"
#include "tfplugin/registration.h"
#include "tfplugin/status.h"

namespace tenon::tf {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;

// The one string of a scalar input.
absl::Status string_input(OpKernelContext* context, const char* name, std::string* value) {
  const tensorflow::Tensor* tensor = nullptr;
  if (const absl::Status status = context->input(name, &tensor); !status.ok()) return status;
  if (!tensorflow::TensorShapeUtils::IsScalar(tensor->shape())) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": a scalar wanted, found shape ", tensor->shape().DebugString()));
  }
  *value = std::string(tensor->scalar<tensorflow::tstring>()());
  return absl::OkStatus();
}

class CreateHandleOp : public OpKernel {
 public:
  explicit CreateHandleOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("resource_name", &resource_name_));
  }

  void Compute(OpKernelContext* context) override {
    tensorflow::Tensor* handle = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, tensorflow::TensorShape({}), &handle));
    handle->scalar<tensorflow::ResourceHandle>()() =
        tensorflow::MakeResourceHandle<EngineFileResource>(context, kContainer, resource_name_);
  }

 private:
  std::string resource_name_;
};

// Only notes and holds the file: it is read when a node needs its engine, so that a damaged one does not keep a model from
// loading. The kernel lives as long as the model's initializer, that is as the model.
class InitializeOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    std::string filename;
    OP_REQUIRES_OK(context, string_input(context, "filename", &filename));
    OP_REQUIRES(context, !filename.empty(),
                absl::InvalidArgumentError("filename: the path of an engine wanted, found nothing"));
    OP_REQUIRES(context, context->input(0).NumElements() == 1,
                absl::InvalidArgumentError(absl::StrCat("resource_handle: one resource wanted, found shape ",
                                                        context->input(0).shape().DebugString())));
    const tensorflow::ResourceHandle& handle = tensorflow::HandleFromInput(context, 0);
    tensorflow::ResourceMgr* resources = context->resource_manager();
    tensorflow::core::RefCountPtr<EngineFileResource> resource(new EngineFileResource(handle.name(), filename));
    // Loading a model again names another copy of the same engine: the newer one counts.
    resources->Delete<EngineFileResource>(handle.container(), handle.name()).IgnoreError();
    const absl::Status status = resources->Create(handle.container(), handle.name(), resource.get());
    if (status.ok()) {
      resource.release();                         // the manager's
    } else if (!absl::IsAlreadyExists(status)) {  // another thread loads the same model
      context->SetStatus(status);
    }
    std::shared_ptr<const HeldFile> held = hold_file(handle.name(), filename);
    const std::lock_guard lock(mutex_);
    held_ = std::move(held);
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<const HeldFile> held_;
};

// An engine that nobody has used yet is still only in its file.
std::string stored_engine(const std::string& identity, const std::string& path) {
  if (const auto engine = EngineResource::find(identity)) return engine->serialize();
  if (const auto held = find_held_file(identity)) return std::string(held->bytes());
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// All of it or nothing.
void write_file(const std::string& path, const std::string& bytes) {
  static std::atomic<unsigned> count{0};
  const std::string temporary = path + ".tmp" + std::to_string(getpid()) + "." + std::to_string(count.fetch_add(1));
  std::ofstream file(temporary, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw Error(ErrorCode::kIo, "SerializeTRTResource: cannot write " + path);
  }
}

class SerializeOp : public OpKernel {
 public:
  explicit SerializeOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("delete_resource", &delete_resource_));
    OP_REQUIRES_OK(context, context->GetAttr("save_gpu_specific_engines", &save_engines_));
  }

  void Compute(OpKernelContext* context) override {
    std::string identity, filename;
    OP_REQUIRES_OK(context, string_input(context, "resource_name", &identity));
    OP_REQUIRES_OK(context, string_input(context, "filename", &filename));
    tensorflow::core::RefCountPtr<EngineFileResource> resource;
    EngineFileResource* found = nullptr;
    const bool known = context->resource_manager()->Lookup(kContainer, identity, &found).ok();
    if (known) resource.reset(found);
    OP_REQUIRES(context, known || EngineResource::find(identity),
                absl::NotFoundError(absl::StrCat("TRTEngineCacheResource not yet created: ", identity)));
    OP_REQUIRES_OK(context, caught([&] {
                     const std::string engine =
                         save_engines_ ? stored_engine(identity, known ? resource->file().path() : std::string())
                                       : std::string();
                     write_file(filename, engine);
                     const char* folder = std::getenv("TF_TRT_EXPORT_TRT_ENGINES_PATH");
                     if (folder != nullptr && *folder != 0 && !engine.empty()) {
                       write_file(std::string(folder) + "/" + identity.substr(0, identity.rfind(':')), engine);
                     }
                   }));
    if (delete_resource_ && known) {
      OP_REQUIRES_OK(context, context->resource_manager()->Delete<EngineFileResource>(kContainer, identity));
    }
  }

 private:
  bool delete_resource_ = false;
  bool save_engines_ = true;
};

// Engines keep no calibration table, so there is never one to give: TF-TRT's status for an empty one, which its callers
// take.
class CalibrationDataOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    std::string identity;
    OP_REQUIRES_OK(context, string_input(context, "resource_name", &identity));
    OP_REQUIRES(context, EngineResource::find(identity) || !find_engine_file(identity).empty(),
                absl::NotFoundError(absl::StrCat("TRTEngineCacheResource not yet created: ", identity)));
    context->SetStatus(absl::UnknownError("Calibration table is empty."));
  }
};

}  // namespace

void register_resource_kernels() {
  REGISTER_KERNEL_BUILDER(Name("CreateTRTResourceHandle").Device(tensorflow::DEVICE_CPU), CreateHandleOp);
  REGISTER_KERNEL_BUILDER(Name("InitializeTRTResource").Device(tensorflow::DEVICE_CPU), InitializeOp);
  REGISTER_KERNEL_BUILDER(Name("SerializeTRTResource").Device(tensorflow::DEVICE_CPU), SerializeOp);
  REGISTER_KERNEL_BUILDER(Name("GetCalibrationDataOp").Device(tensorflow::DEVICE_CPU), CalibrationDataOp);
}

}  // namespace tenon::tf
