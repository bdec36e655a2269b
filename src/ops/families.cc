// The list of op families. A new op in a family edits no list; a new family adds two lines here.
#include <array>

#include "ops/registry.h"

namespace tenon::ops {

const OpFamily& audio_family();
const OpFamily& binary_family();
const OpFamily& buckets_family();
const OpFamily& cast_family();
const OpFamily& concat_family();
const OpFamily& control_flow_family();
const OpFamily& conv_family();
const OpFamily& core_family();
const OpFamily& ctc_family();
const OpFamily& decompositions_family();
const OpFamily& detection_family();
const OpFamily& diag_family();
const OpFamily& einsum_family();
const OpFamily& fused_conv_family();
const OpFamily& fused_family();
const OpFamily& gather_family();
const OpFamily& histogram_family();
const OpFamily& image_decode_family();
const OpFamily& image_family();
const OpFamily& linalg_family();
const OpFamily& matmul_family();
const OpFamily& misc_family();
const OpFamily& normalization_family();
const OpFamily& pad_family();
const OpFamily& parse_example_family();
const OpFamily& partition_stitch_family();
const OpFamily& pool_family();
const OpFamily& quantization_family();
const OpFamily& ragged_family();
const OpFamily& ragged_variant_family();
const OpFamily& random_family();
const OpFamily& rank_family();
const OpFamily& recurrent_family();
const OpFamily& reduce_family();
const OpFamily& regex_family();
const OpFamily& resize_family();
const OpFamily& scan_family();
const OpFamily& scatter_family();
const OpFamily& segment_family();
const OpFamily& select_family();
const OpFamily& sets_family();
const OpFamily& shape_family();
const OpFamily& signal_family();
const OpFamily& slice_assign_family();
const OpFamily& slice_family();
const OpFamily& softmax_family();
const OpFamily& space_batch_family();
const OpFamily& sparse_cross_family();
const OpFamily& sparse_family();
const OpFamily& sparse_matmul_family();
const OpFamily& special_family();
const OpFamily& strided_slice_family();
const OpFamily& string_format_family();
const OpFamily& string_hash_family();
const OpFamily& strings_family();
const OpFamily& tables_family();
const OpFamily& tensor_array_family();
const OpFamily& tensor_list_family();
const OpFamily& transpose_family();
const OpFamily& unary_family();
const OpFamily& unicode_family();
const OpFamily& unique_family();
const OpFamily& variables_family();

std::span<const OpFamily* const> families() {
  static const std::array list = {
      &audio_family(),
      &binary_family(),
      &buckets_family(),
      &cast_family(),
      &concat_family(),
      &control_flow_family(),
      &conv_family(),
      &core_family(),
      &ctc_family(),
      &decompositions_family(),
      &detection_family(),
      &diag_family(),
      &einsum_family(),
      &fused_conv_family(),
      &fused_family(),
      &gather_family(),
      &histogram_family(),
      &image_decode_family(),
      &image_family(),
      &linalg_family(),
      &matmul_family(),
      &misc_family(),
      &normalization_family(),
      &pad_family(),
      &parse_example_family(),
      &partition_stitch_family(),
      &pool_family(),
      &quantization_family(),
      &ragged_family(),
      &ragged_variant_family(),
      &random_family(),
      &rank_family(),
      &recurrent_family(),
      &reduce_family(),
      &regex_family(),
      &resize_family(),
      &scan_family(),
      &scatter_family(),
      &segment_family(),
      &select_family(),
      &sets_family(),
      &shape_family(),
      &signal_family(),
      &slice_assign_family(),
      &slice_family(),
      &softmax_family(),
      &space_batch_family(),
      &sparse_cross_family(),
      &sparse_family(),
      &sparse_matmul_family(),
      &special_family(),
      &strided_slice_family(),
      &string_format_family(),
      &string_hash_family(),
      &strings_family(),
      &tables_family(),
      &tensor_array_family(),
      &tensor_list_family(),
      &transpose_family(),
      &unary_family(),
      &unicode_family(),
      &unique_family(),
      &variables_family(),
  };
  return list;
}

}  // namespace tenon::ops
