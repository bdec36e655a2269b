// Which stored value belongs to a variable handle that TF2's signatures capture.
#pragma once

#include "savedmodel/variables.h"

namespace tenon::saved {

// Adds targets for handles of the top graph that `plan` does not reach. A signature's call passes its captured variables as
// last operands, in the order of the object graph's bound_inputs; the checkpoint's own object graph says under which key
// each object is stored. Models whose save function works on handles of its own (Keras 3 in a tf.Module) need this.
// Malformed object graphs add nothing.
void add_captured_variables(const MetaGraph& meta_graph, const Bundle& bundle, RestorePlan& plan);

}  // namespace tenon::saved
