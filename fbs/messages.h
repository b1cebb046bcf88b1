// Messages: typed structs (flatc's object API: wire::CreateRequestT …) to bytes and back. Parse
// verifies bytes from outside, in release builds too, before anything reads them.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/frame.h"
#include "base/result.h"
#include "fbs/common_generated.h"
#include "fbs/ids.h"
#include "fbs/peer_actor_generated.h"
#include "fbs/peer_channel_generated.h"
#include "fbs/peer_generated.h"
#include "fbs/peer_group_generated.h"
#include "fbs/peer_work_generated.h"
#include "fbs/raylet_generated.h"
#include "fbs/store_generated.h"

namespace raylet {

namespace wire {  // of peer_object.fbs, whose generated header few files need
struct LocateRequest;
struct LocatedNotice;
struct CopiesSealedNotice;
}  // namespace wire

constexpr uint32_t kStoreMagic = 0x534c5052;   // "RPLS"
constexpr uint32_t kRayletMagic = 0x544c5952;  // "RYLT"
constexpr uint32_t kPeerMagic = 0x52504c52;    // "RLPR"
constexpr size_t kRestoreIdsMax = 64;          // of one Restore
constexpr uint16_t kStoreProtocolMin = 1, kStoreProtocolMax = 1;
constexpr uint16_t kRayletProtocolMin = 1, kRayletProtocolMax = 1;
constexpr uint16_t kPeerProtocolMin = 1, kPeerProtocolMax = 1;
constexpr const char* kBuild = RAYLET_VERSION;

// The bounds of a FlatBuffer from outside.
constexpr size_t kMessageDepthMax = 8;
constexpr size_t kMessageTablesMax = 65536;  // arguments and resources are tables
// How many seals one client of the store may wait for: 16 MiB of the store's memory, 8 MiB of notices.
constexpr size_t kWatchedIdsPerClientMax = 131072;
constexpr size_t kStoreBodyBytesMax = size_t{1} << 20;  // small puts travel inline
constexpr size_t kRayletBodyBytesMax = size_t{4} << 20;
constexpr size_t kPeerBodyBytesMax = size_t{8} << 20;  // more than the largest message of a process

using Bytes = std::vector<std::byte>;

// What a getter of a spilled object hears whose bytes cannot be read any more.
std::string LostText(const ObjectId& id);

// A message's bytes as a vector. Message is an object-API struct such as wire::IdRequestT.
template <class Message>
Bytes Encode(const Message& message) {
  flatbuffers::FlatBufferBuilder builder(512);
  builder.Finish(Message::TableType::Pack(builder, &message));
  const auto* begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return Bytes(begin, begin + builder.GetSize());
}

// The total size of the strings and vectors behind a table's vectors of offsets. Offsets may share
// their targets, so a short buffer could unpack to a very long message. An honest message never
// adds up to more bytes than it has. Only tables with vectors of strings or of tables can grow that
// way.
template <class Table>
size_t SharedTargetBytes(const Table&) {
  return 0;
}
size_t SharedTargetBytes(const wire::RegisterRequest& request);
size_t SharedTargetBytes(const wire::TaskSpec& task);
size_t SharedTargetBytes(const wire::LeaseRequest& request);
size_t SharedTargetBytes(const wire::PeerHeartbeat& heartbeat);
size_t SharedTargetBytes(const wire::PeerIntroduction& introduction);
size_t SharedTargetBytes(const wire::JobProgramNotice& program);
size_t SharedTargetBytes(const wire::RegisterReply& reply);
size_t SharedTargetBytes(const wire::MetricReport& report);
size_t SharedTargetBytes(const wire::MetricsNotice& notice);
size_t SharedTargetBytes(const wire::Bundle& bundle);
size_t SharedTargetBytes(const wire::PlacementGroup& group);
size_t SharedTargetBytes(const wire::FindPlacementGroupsReply& reply);
size_t SharedTargetBytes(const wire::PrepareBundlesRequest& request);
size_t SharedTargetBytes(const wire::GroupsFoundNotice& notice);

// Whether the elements of the table's vectors are aligned. FlatBuffers' verifier checks the lengths of vectors and not
// the alignment of elements, so each table with elements of eight bytes has an overload here.
template <class Table>
bool ElementsAreAligned(const Table&) {
  return true;
}
bool ElementsAreAligned(const wire::ProcessNotice& notice);
bool ElementsAreAligned(const wire::SettledNotice& notice);
bool ElementsAreAligned(const wire::EndClaimedNotice& notice);
bool ElementsAreAligned(const wire::LocateRequest& request);
bool ElementsAreAligned(const wire::LocatedNotice& notice);
bool ElementsAreAligned(const wire::CopiesSealedNotice& notice);
bool ElementsAreAligned(const wire::MetricReport& report);
bool ElementsAreAligned(const wire::MetricsNotice& notice);

// A message, verified and read in place. Messages about each task are read so: the object API copies every string and
// vector. False unless the bytes are one well-formed message of this type within the bounds above.
template <class Table>
class MessageView {
 public:
  explicit MessageView(std::span<const std::byte> body) : body_bytes_(body.size()) {  // the body outlives the view
    const std::byte* const data = Aligned(body);
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(data), body.size(), kMessageDepthMax,
                                   kMessageTablesMax);
    if (!verifier.VerifyBuffer<Table>(nullptr)) return;
    const Table* const table = flatbuffers::GetRoot<Table>(data);
    if (ElementsAreAligned(*table) && SharedTargetBytes(*table) <= body.size()) table_ = table;
  }
  MessageView(const MessageView&) = delete;
  MessageView& operator=(const MessageView&) = delete;

  explicit operator bool() const { return table_ != nullptr; }
  const Table& operator*() const { return *table_; }
  const Table* operator->() const { return table_; }
  Error error() const {  // of a malformed message
    return {ErrorCode::kProtocolError, std::string(Table::GetFullyQualifiedName()) + ": malformed message of " +
                                           std::to_string(body_bytes_) + " bytes"};
  }

 private:
  // FlatBuffers wants 8-byte alignment, which a slice of a receive buffer may lack.
  const std::byte* Aligned(std::span<const std::byte> body) {
    if (reinterpret_cast<uintptr_t>(body.data()) % 8 == 0 && body.data() != nullptr) return body.data();
    std::byte* copy = small_;
    if (body.size() > sizeof small_) {
      large_.resize(body.size() / 8 + 1);
      copy = reinterpret_cast<std::byte*>(large_.data());
    }
    if (!body.empty()) std::memcpy(copy, body.data(), body.size());
    return copy;
  }

  const Table* table_ = nullptr;
  size_t body_bytes_;
  std::vector<uint64_t> large_;
  alignas(16) std::byte small_[512];
};

// kProtocolError unless the bytes are a message that MessageView takes.
template <class Message>
Result<Message> Parse(std::span<const std::byte> body) {
  const MessageView<typename Message::TableType> view(body);
  if (!view) return Fail(view.error());
  Message message;
  view->UnPackTo(&message);
  return message;
}

// The text of a field that may be missing.
inline std::string_view TextOf(const flatbuffers::String* field) {
  return field == nullptr ? std::string_view() : field->string_view();
}

// Status on the wire <-> Result.
std::unique_ptr<wire::StatusT> OkStatus();
std::unique_ptr<wire::StatusT> MakeWireStatus(const Error& error);
Result<void> FromStatus(const wire::StatusT& status);
Bytes EncodeStatusReply(const Result<void>& outcome);
Result<void> ParseStatusReply(const Result<Frame>& reply);  // what it says, or why there is none

}  // namespace raylet
