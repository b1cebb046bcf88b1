#include "store/recovered_pages.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace raylet::store {

bool RecoveredPages::Adopt(uint64_t offset, uint64_t bytes) {
  const uint64_t first = offset / kPieceBytes;
  const uint64_t end = (offset + std::max<uint64_t>(bytes, 1) + kPieceBytes - 1) / kPieceBytes;
  for (uint64_t piece = first; piece < end; ++piece) {
    Page& page = pages_[piece / kPieces];
    const uint64_t bit = uint64_t{1} << piece % kPieces;
    if ((page.used & bit) != 0) return false;
    page.used |= bit;
    if (piece == first) page.begins |= bit;
  }
  return true;
}

void RecoveredPages::OfferGaps() {
  for (auto& [number, page] : pages_) Offer(number, page);
}

int RecoveredPages::LongestGap(uint64_t used) {
  uint64_t free = ~used;
  int longest = 0;
  for (; free != 0; free &= free << 1) ++longest;  // each round shortens every gap by one
  return longest;
}

void RecoveredPages::Offer(uint64_t number, Page& page) {
  const auto gap = static_cast<uint8_t>(LongestGap(page.used));
  if (gap == page.gap) return;
  if (page.gap != 0) by_gap_[page.gap].erase(number);
  if (gap != 0) by_gap_[gap].insert(number);
  page.gap = gap;
}

std::optional<uint64_t> RecoveredPages::Take(uint64_t bytes) {
  if (bytes > kPageBytes || pages_.empty()) return std::nullopt;
  const uint64_t pieces = (std::max<uint64_t>(bytes, 1) + kPieceBytes - 1) / kPieceBytes;
  for (uint64_t gap = pieces; gap <= kPieces; ++gap) {
    if (by_gap_[gap].empty()) continue;
    const uint64_t number = *by_gap_[gap].begin();
    Page& page = pages_.at(number);
    uint64_t begins = ~page.used;  // bits where `pieces` free ones begin
    for (uint64_t i = 1; i < pieces; ++i) begins &= ~page.used >> i;
    const int first = std::countr_zero(begins);
    const uint64_t object = (pieces == kPieces ? ~uint64_t{0} : (uint64_t{1} << pieces) - 1) << first;
    page.used |= object;
    page.begins |= uint64_t{1} << first;
    Offer(number, page);
    return number * kPageBytes + static_cast<uint64_t>(first) * kPieceBytes;
  }
  return std::nullopt;
}

uint64_t RecoveredPages::BytesAt(uint64_t offset) const {
  uint64_t pieces = 0;
  for (uint64_t piece = offset / kPieceBytes;; ++piece, ++pieces) {
    const auto page = pages_.find(piece / kPieces);
    const uint64_t bit = uint64_t{1} << piece % kPieces;
    if (page == pages_.end() || (page->second.used & bit) == 0) break;
    if (((page->second.begins & bit) != 0) != (pieces == 0)) break;
  }
  RAYLET_CHECK(pieces > 0, "no recovered object begins at ", offset);
  return pieces * kPieceBytes;
}

void RecoveredPages::Free(uint64_t offset) {
  const uint64_t first = offset / kPieceBytes, end = first + BytesAt(offset) / kPieceBytes;
  for (uint64_t piece = first; piece < end; ++piece) {
    Page& page = pages_.at(piece / kPieces);
    const uint64_t bit = uint64_t{1} << piece % kPieces;
    page.used &= ~bit;
    page.begins &= ~bit;
    if (piece + 1 == end || (piece + 1) % kPieces == 0) Offer(piece / kPieces, page);
  }
}

void RecoveredPages::Forget(uint64_t number) {
  const auto it = pages_.find(number);
  RAYLET_CHECK(it != pages_.end() && it->second.used == 0, "page ", number, " still has objects");
  if (it->second.gap != 0) by_gap_[it->second.gap].erase(number);
  pages_.erase(it);
}

}  // namespace raylet::store
