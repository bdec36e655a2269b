#include "backends/cpu/lowering/copy.h"

#include <cstring>

#include "backends/cpu/kernels/shares.h"

namespace tenon::cpu {
namespace {

// Bytes moved as `blocks` blocks of `rows` rows of `row` bytes.
struct Move {
  Slot from = -1, to = -1;
  std::int64_t blocks = 0, rows = 0, row = 0;
  std::int64_t from_block = 0, from_row = 0, to_block = 0, to_row = 0;  // bytes between neighbours
  std::int64_t to_offset = 0;
};

// Joins rows that lie side by side in both tensors, then blocks likewise.
Move joined(Move move) {
  if (move.from_row == move.row && move.to_row == move.row) {
    move.row *= move.rows;
    move.rows = 1;
  }
  if (move.rows == 1) {
    move.rows = move.blocks;
    move.from_row = move.from_block;
    move.to_row = move.to_block;
    move.blocks = 1;
    if (move.from_row == move.row && move.to_row == move.row) {
      move.row *= move.rows;
      move.rows = 1;
    }
  }
  return move;
}

constexpr std::int64_t kPiece = 1 << 16;  // bytes of a long row that one share moves

void run(const Move& move, const Frame& frame) {
  const std::byte* from = frame.at<const std::byte>(move.from);
  std::byte* to = frame.at<std::byte>(move.to) + move.to_offset;
  const double nanoseconds_per_byte = 0.1;
  if (move.blocks * move.rows == 1) {
    const std::int64_t pieces = (move.row + kPiece - 1) / kPiece;
    for_shares(split_work(pieces, kPiece * nanoseconds_per_byte), *frame.team, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t stop = std::min(move.row, end * kPiece);
      std::memcpy(to + begin * kPiece, from + begin * kPiece, static_cast<std::size_t>(stop - begin * kPiece));
    });
    return;
  }
  const double row_cost = 5 + static_cast<double>(move.row) * nanoseconds_per_byte;
  for_shares(split_work(move.blocks * move.rows, row_cost), *frame.team, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t block = i / move.rows, row = i % move.rows;
      std::memcpy(to + block * move.to_block + row * move.to_row, from + block * move.from_block + row * move.from_row,
                  static_cast<std::size_t>(move.row));
    }
  });
}

}  // namespace

std::unique_ptr<Step> make_copy_step(const Place& from, const Place& to) {
  const auto unit = static_cast<std::int64_t>(dtype_size(from.dtype));
  Move move{from.slot, to.slot, 1, from.rows(), from.last() * unit, 0, from.pitch * unit, 0, to.pitch * unit, 0};
  return make_step([move = joined(move)](const Frame& frame) { run(move, frame); });
}

std::unique_ptr<Step> make_concat_step(std::span<const ConcatPart> parts, const Place& to, int axis) {
  const auto unit = static_cast<std::int64_t>(dtype_size(to.dtype));
  std::int64_t outer = 1, inner_rows = 1;  // rows of the last dimension behind one index of the axis
  for (int d = 0; d < axis; ++d) outer *= to.shape[d];
  const bool last_axis = axis == to.shape.rank() - 1;
  for (int d = axis + 1; d < to.shape.rank() - 1; ++d) inner_rows *= to.shape[d];
  std::vector<Move> moves;
  for (const ConcatPart& part : parts) {
    const std::int64_t elements = part.from.elements() / outer;  // of one block
    Move move{part.from.slot, to.slot, outer, 1, 0, 0, 0, 0, 0, 0};
    if (last_axis) {
      move.row = elements * unit;
      move.from_block = (part.from.dense() ? elements : part.from.pitch) * unit;
      move.to_block = to.pitch * unit;
      move.to_offset = part.offset * unit;
    } else {
      const std::int64_t last = to.last();
      move.rows = elements / last;
      move.row = last * unit;
      move.from_row = part.from.pitch * unit;
      move.to_row = to.pitch * unit;
      move.from_block = move.rows * move.from_row;
      move.to_block = to.shape[axis] * inner_rows * move.to_row;
      move.to_offset = part.offset * inner_rows * move.to_row;
    }
    if (part.from.dense() && !last_axis) {  // also when a new axis changed the part's last dimension
      move.from_row = move.row;
      move.from_block = move.rows * move.row;
    }
    moves.push_back(joined(move));
  }
  return make_step([moves = std::move(moves)](const Frame& frame) {
    for (const Move& move : moves) run(move, frame);
  });
}

}  // namespace tenon::cpu
