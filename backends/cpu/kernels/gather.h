// Copies of rows chosen by index: embeddings, Gather, GatherV2.
#pragma once

#include <cstdint>

#include "base/thread_team.h"

namespace tenon::cpu {

// table: [outer, table_rows, row_bytes]; result: [outer, count, row_bytes]; result[o][i] = table[o][indices[i]].
struct Gather {
  int64_t outer = 1;
  int64_t table_rows = 0;
  int64_t row_bytes = 0;
  int64_t count = 0;
};

// Returns the position of the first index outside [0, table_rows), after which the result is undefined, or -1 when all fit.
// Index is int32_t or int64_t.
template <class Index>
int64_t gather_rows(const Gather& shape, const void* table, const Index* indices, void* result, ThreadTeam& team);

}  // namespace tenon::cpu
