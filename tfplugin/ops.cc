// The ops of converted models: TF-TRT's names, attributes and defaults, with more element types. Attributes of Tenon's own
// start with an underscore, which TensorFlow takes without knowing them.
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/partial_tensor_shape.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tfplugin/registration.h"

namespace tenon::tf {
namespace {

using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// The shapes that the node says its outputs have.
absl::Status output_shapes(InferenceContext* context) {
  std::vector<tensorflow::PartialTensorShape> shapes;
  if (!context->GetAttr("output_shapes", &shapes).ok() || shapes.empty()) {
    for (int i = 0; i < context->num_outputs(); ++i) context->set_output(i, context->UnknownShape());
    return absl::OkStatus();
  }
  if (static_cast<int>(shapes.size()) != context->num_outputs()) {
    return absl::InvalidArgumentError(
        absl::StrCat("output_shapes: one per output wanted (", context->num_outputs(), "), found ", shapes.size()));
  }
  for (int i = 0; i < context->num_outputs(); ++i) {
    ShapeHandle shape;
    const absl::Status status = context->MakeShapeFromPartialTensorShape(shapes[static_cast<std::size_t>(i)], &shape);
    if (!status.ok()) return status;
    context->set_output(i, shape);
  }
  return absl::OkStatus();
}

absl::Status no_outputs(InferenceContext*) { return absl::OkStatus(); }

absl::Status scalar_output(InferenceContext* context) {
  context->set_output(0, context->Scalar());
  return absl::OkStatus();
}

}  // namespace

void register_ops() {
  REGISTER_OP("TRTEngineOp")
      .Attr("serialized_segment: string")
      .Attr("segment_func: func = {}")
      .Attr("InT: list({bool,int8,half,float,int32,resource,uint8,int16,uint16,int64,bfloat16,double})")
      .Attr("OutT: list({bool,int8,half,float,int32,uint8,int16,uint16,int64,bfloat16,double})")
      .Attr("input_shapes: list(shape) = []")
      .Attr("output_shapes: list(shape) = []")
      .Attr("max_cached_engines_count: int = 1")
      .Attr("max_batch_size: int = 1")
      .Attr("workspace_size_bytes: int")
      .Attr("precision_mode: {'FP32', 'FP16', 'INT8'}")
      .Attr("calibration_data: string = ''")
      .Attr("use_calibration: bool = true")
      .Attr("static_engine: bool = true")
      .Attr("profile_strategy: string = ''")
      .Attr("use_explicit_precision: bool = false")
      // Of older converters; without effect.
      .Attr("segment_funcdef_name: string = ''")
      .Attr("cached_engine_batches: list(int) >= 0 = []")
      .Attr("fixed_input_size: bool = true")
      .Input("in_tensor: InT")
      .Output("out_tensor: OutT")
      .SetShapeFn(output_shapes);

  REGISTER_OP("CreateTRTResourceHandle")
      .Attr("resource_name: string")
      .Output("resource_handle: resource")
      .SetIsStateful()
      .SetShapeFn(scalar_output);

  REGISTER_OP("InitializeTRTResource")
      .Attr("max_cached_engines_count: int = 1")
      .Input("resource_handle: resource")
      .Input("filename: string")
      .SetIsStateful()
      .SetShapeFn(no_outputs);

  REGISTER_OP("SerializeTRTResource")
      .Attr("delete_resource: bool = false")
      .Attr("save_gpu_specific_engines: bool = true")
      .Input("resource_name: string")
      .Input("filename: string")
      .SetIsStateful()
      .SetShapeFn(no_outputs);

  REGISTER_OP("GetCalibrationDataOp")
      .Input("resource_name: string")
      .Output("serialized_resource: string")
      .SetIsStateful()
      .SetShapeFn(scalar_output);
}

}  // namespace tenon::tf
