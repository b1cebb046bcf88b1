// The parts of each Arrow IPC message: a mark, the length of the metadata, the metadata, then a body. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "base/result.h"

namespace ray::internal {

constexpr uint32_t kMessageMark = 0xffffffff;
constexpr size_t kMessagePrefixBytes = 8;  // the mark and the length of the metadata
constexpr size_t kMessageAlignment = 64;   // of bodies and of what lies in them

constexpr size_t AlignMessage(size_t bytes) {
  return (bytes + kMessageAlignment - 1) / kMessageAlignment * kMessageAlignment;
}

// Appends all that comes before the body. The text grows by a multiple of the alignment.
void AppendMessageHead(std::string& out, const uint8_t* metadata, size_t metadata_bytes);

// The length of the metadata at the front of these bytes, all of which are there. kProtocolError says why not.
raylet::Result<size_t> MetadataBytes(std::span<const std::byte> bytes, size_t metadata_bytes_max);

}  // namespace ray::internal
