// LastWord: why the raylet has ended a process's connection, in the page of that process's doorbell. A process that
// does not read has a full socket, through which no frame can go any more. The raylet writes it before it closes the
// socket; the process reads it after the end of the socket, so neither sees half of it.
#pragma once

#include <optional>
#include <span>

#include "base/result.h"
#include "base/waiter.h"

namespace raylet {

constexpr size_t kDoorbellPageBytes = 4096;
constexpr size_t kLastWordOffset = sizeof(Doorbell);
constexpr size_t kLastWordTextBytesMax = 1024;

struct LastWord {
  uint32_t code;  // an ErrorCode; 0: nothing was said
  uint32_t text_bytes;
  char text[kLastWordTextBytesMax];
};
static_assert(sizeof(LastWord) == 8 + kLastWordTextBytesMax);
static_assert(kLastWordOffset + sizeof(LastWord) <= kDoorbellPageBytes);

// `doorbell` is the memory that came with Register. One that ends behind the Doorbell has no room: nothing is written.
Result<void> LeaveLastWord(int doorbell, const Error& reason);
// Nothing where nothing was said, or what is there makes no sense.
std::optional<Error> ReadLastWord(std::span<const std::byte> doorbell_page);

}  // namespace raylet
