// A real plasma_store in a private folder, and clients as small as the wire allows.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/frame_connection.h"
#include "base/shm_segment.h"
#include "fbs/messages.h"
#include "fbs/segment_layout.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {

inline Deadline Soon() { return Deadline::AfterMs(20000); }

inline ObjectId IdOf(uint8_t number) {
  ObjectId id;
  id.mutable_data()[0] = number;
  return id;
}

// One connection. Replies are read in the order in which they come.
struct RawClient {
  FrameConnection connection;
  Mapping index, pins;
  uint32_t number = 0;
  uint64_t next_request = 1;

  template <class Message>
  uint64_t Send(wire::StoreMessage type, const Message& message) {
    const uint64_t request = next_request++;
    EXPECT_TRUE(connection.Send(static_cast<uint16_t>(type), request, Encode(message), Soon()));
    return request;
  }
  void SendRaw(uint16_t type, std::span<const std::byte> body) {
    (void)connection.Send(type, next_request++, body, Soon());
  }
  // Nothing when the daemon closed the connection.
  std::optional<Frame> Next(Deadline deadline = Soon()) {
    auto frame = connection.Receive(deadline);
    if (!frame) return std::nullopt;
    return std::move(*frame);
  }
  template <class Message>
  Message Reply() {
    const auto frame = Next();
    if (!frame) {
      ADD_FAILURE() << "no reply";
      return {};
    }
    auto message = Parse<Message>(frame->body);
    if (!message) {
      ADD_FAILURE() << message.error().message;
      return {};
    }
    return std::move(*message);
  }
  void Hello(uint16_t version_min = kStoreProtocolMin, uint16_t version_max = kStoreProtocolMax, uint32_t heir = 0) {
    wire::StoreHelloT hello;
    hello.magic = kStoreMagic;
    hello.version_min = version_min;
    hello.version_max = version_max;
    hello.build = "test";
    hello.name = "raw";
    hello.heir = heir;
    // A store that refuses a connection says why and closes it, perhaps before this is sent. The reply is read all the
    // same.
    SendRaw(static_cast<uint16_t>(wire::StoreMessage::Hello), Encode(hello));
  }
  uint64_t SendCreate(uint8_t id, uint64_t bytes, int64_t timeout_ms = 0) {
    wire::CreateRequestT request;
    request.id = std::make_unique<wire::Id20>(ToWire(IdOf(id)));
    request.data_bytes = bytes;
    request.timeout_ms = timeout_ms;
    return Send(wire::StoreMessage::Create, request);
  }
  ErrorCode Create(uint8_t id, uint64_t bytes) {
    SendCreate(id, bytes);
    return CodeOf(Reply<wire::CreateReplyT>());
  }
  ErrorCode ById(wire::StoreMessage type, uint8_t id) {
    wire::IdRequestT request;
    request.id = std::make_unique<wire::Id20>(ToWire(IdOf(id)));
    Send(type, request);
    return CodeOf(Reply<wire::StatusReplyT>());
  }
  ErrorCode Seal(uint8_t id) { return ById(wire::StoreMessage::Seal, id); }
  ErrorCode Delete(uint8_t id) {
    wire::IdsRequestT request;
    request.ids.push_back(ToWire(IdOf(id)));
    Send(wire::StoreMessage::Delete, request);
    return static_cast<ErrorCode>(Reply<wire::DeleteReplyT>().codes.at(0));
  }
  template <class Message>
  static ErrorCode CodeOf(const Message& message) {
    return message.status ? static_cast<ErrorCode>(message.status->code) : ErrorCode::kProtocolError;
  }
  const IndexHeader& header() const { return *index.As<IndexHeader>(); }
  const IndexCounters& counters() const { return header().counters; }
  void PinSealed(uint8_t id) {
    for (uint64_t i = 0; i < header().entry_bound; ++i) {
      const IndexEntry& entry = header().entries[static_cast<std::ptrdiff_t>(i)];
      if (StateOf(entry.word.load()) != EntryState::kSealed || (entry.id_words[0].load() & 0xff) != id) continue;
      pins.As<PinPage>()->slots[0].store(static_cast<uint32_t>(i) + 1);
      pins.As<PinPage>()->slots_high_water.store(1);
      return;
    }
    ADD_FAILURE() << "not sealed";
  }
};

class StoreDaemonTest : public testing::Test {
 protected:
  void Start() {
    auto daemon = DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", socket_});
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_.emplace(std::move(*daemon));
  }
  void SetUp() override { Start(); }
  RawClient Raw() {
    RawClient client;
    auto connection = FrameConnection::Connect(socket_, Soon(), false);
    EXPECT_TRUE(connection) << connection.error().message;
    if (connection) client.connection = std::move(*connection);
    return client;
  }
  RawClient Connect(uint32_t heir = 0) {
    RawClient client = Raw();
    client.Hello(kStoreProtocolMin, kStoreProtocolMax, heir);
    const auto reply = client.Reply<wire::StoreHelloReplyT>();
    EXPECT_EQ(client.connection.fds().size(), 4u);
    client.number = reply.client;
    if (client.connection.fds().size() != 4) return client;
    auto index = Mapping::Map(client.connection.fds()[2].get(), reply.index_bytes, Mapping::Access::kReadOnly);
    auto pins = Mapping::Map(client.connection.fds()[3].get(), reply.pins_bytes, Mapping::Access::kReadWrite);
    EXPECT_TRUE(index && pins && CheckIndexSegment(index->data(), index->size()));
    client.index = std::move(*index);
    client.pins = std::move(*pins);
    EXPECT_FALSE(Mapping::Map(client.connection.fds()[0].get(), 4096, Mapping::Access::kReadWrite)) << "read-only";
    EXPECT_FALSE(Mapping::Map(client.connection.fds()[2].get(), 4096, Mapping::Access::kReadWrite)) << "read-only";
    return client;
  }
  std::string IndexFile() const { return "/dev/shm/" + IndexSegmentName(socket_); }

  RunFolder folder_;
  const std::string socket_ = folder_.File("store");
  std::optional<DaemonProcess> daemon_;
};

}  // namespace raylet::test
