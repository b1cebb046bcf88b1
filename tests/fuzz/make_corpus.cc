// make_corpus FOLDER: writes FOLDER/<target>/sample for every fuzz target that starts from something valid.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/frame.h"
#include "client/ray/api/arrow_batch_writer.h"
#include "client/ray/api/arrow_tensor.h"
#include "fbs/call_record.h"
#include "fbs/object_notice.h"
#include "store/spill_file.h"
#include "tests/fbs/samples.h"
#include "wire_message_list.h"

namespace raylet {
namespace {

bool Save(const std::filesystem::path& folder, const std::string& target, std::span<const std::byte> bytes) {
  std::error_code error;
  std::filesystem::create_directories(folder / target, error);
  std::ofstream file(folder / target / "sample", std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) std::fprintf(stderr, "make_corpus: cannot write %s/%s/sample\n", folder.c_str(), target.c_str());
  return file.good();
}

// A batch of a column of texts, of which one is null.
bool SaveBatch(const std::filesystem::path& folder) {
  constexpr uint8_t kValid = 0b101;
  const int32_t offsets[] = {0, 1, 1, 3};
  const void* text_buffers[] = {&kValid, offsets, "abc"};
  const void* no_buffers[] = {nullptr};
  ArrowSchema text_type{}, type{};
  text_type.format = "u";
  text_type.name = "text";
  type.format = "+s";
  ArrowArray text{}, table{};
  text.buffers = text_buffers;
  text.n_buffers = 3;
  text.null_count = 1;
  table.buffers = no_buffers;
  table.n_buffers = 1;
  text.length = table.length = 3;
  ArrowSchema* types[] = {&text_type};
  ArrowArray* columns[] = {&text};
  type.children = types;
  table.children = columns;
  type.n_children = table.n_children = 1;
  text_type.release = type.release = [](ArrowSchema*) {};
  text.release = table.release = [](ArrowArray*) {};
  const auto writer = ray::internal::ArrowBatchWriter::Of(type, table);
  if (!writer) return false;
  std::vector<std::byte> stream(writer->bytes());
  writer->Write(stream);
  return Save(folder, "arrow_batch", stream);
}

bool SaveAll(const std::filesystem::path& folder) {
  bool fine = true;
#define RAYLET_X(name) fine = Save(folder, #name, Encode(samples::Make<wire::name##T>())) && fine;
  RAYLET_WIRE_MESSAGES(RAYLET_X)
#undef RAYLET_X

  std::vector<std::byte> frames{std::byte{20}};
  for (uint16_t type = 1; type <= 3; ++type) {
    AppendFrame(frames, type, type, Encode(samples::Make<wire::CreateRequestT>()));
  }
  fine = Save(folder, "frame_parser", frames) && fine;

  CallRecord call;
  call.call = 1;
  call.lend = 2;
  call.function = "Server::Update";
  call.arguments = {{ValueView::Kind::kInline, "one", {}}, {ValueView::Kind::kStored, {}, ObjectId()}};
  std::vector<std::byte> record(CallRecordBytes(call));
  WriteCallRecord(call, record);
  fine = Save(folder, "call_record", record) && fine;

  const std::string id(ObjectId::kSize, 'i');
  const ReplyRecord reply{1, 2, true, {ValueView::Kind::kFailed, "why", {}}, id, id};
  record.resize(ReplyRecordBytes(reply));
  WriteReplyRecord(reply, record);
  fine = Save(folder, "reply_record", record) && fine;

  record.resize(8);
  WriteLendRecord(3, std::span<std::byte, 8>(record.data(), 8));
  fine = Save(folder, "lend_record", record) && fine;

  record.clear();
  AppendNotice(record, {ObjectId(), 31400, 33});
  fine = Save(folder, "object_notice", std::span(record).subspan(kNoticeLengthBytes)) && fine;

  // Sizes of pieces, then a header and two chunks.
  frames.assign(4, std::byte{90});
  AppendFrame(frames, 51, 2, Encode(samples::Make<wire::PullHeaderT>()));
  for (uint64_t pull = 2; pull <= 3; ++pull) AppendFrame(frames, 52, pull, std::vector<std::byte>(100));
  fine = Save(folder, "bulk_reader", frames) && fine;

  constexpr std::string_view kSettings = "# a comment\nmemory = \"1G\"\nsocket = '/run/s'\nmetrics-port = 9401\n";
  fine = Save(folder, "config_file", std::as_bytes(std::span(kSettings))) && fine;

  constexpr auto kDtype = ray::internal::Dtype::kBool;  // the one whose message says the most
  const size_t sizes[] = {2, 3};
  const auto shape = ray::internal::ShapeOf(sizes, ray::internal::ElementBytes(kDtype));
  std::vector<std::byte> tensor(ray::internal::TensorHeaderBytes(kDtype, shape->ndim));
  ray::internal::WriteTensorHeader(*shape, kDtype, tensor);
  tensor.resize(tensor.size() + shape->count);
  fine = Save(folder, "arrow_tensor", tensor) && fine;

  fine = SaveBatch(folder) && fine;

  // A file of two rows, and the second of them.
  store::SpillHead head{.rows = 2, .file = 7, .file_bytes = 8192};
  store::Finish(head);
  store::SpillRow row{.metadata_bytes = 3, .data_bytes = 100, .offset = 4096};
  store::Finish(row, head.file);
  record.assign(1, std::byte{0});
  for (const auto part : {std::as_bytes(std::span(&head, 1)), std::as_bytes(std::span(&row, 1))})
    record.insert(record.end(), part.begin(), part.end());
  fine = Save(folder, "spill_file", record) && fine;

  // Zero bytes: an untouched ring with a record or two, posts of nothing, an untouched index.
  record.assign(64, std::byte{0});
  fine = Save(folder, "ring", record) && fine;
  fine = Save(folder, "put_posts", record) && fine;
  fine = Save(folder, "index_segment", {}) && fine;

  // A Hello and a Proof, to a listener.
  record = {std::byte{0}, std::byte{255}};
  AppendFrame(record, 1, 0, Encode(samples::Make<wire::PeerHelloT>()));
  AppendFrame(record, 2, 0, Encode(samples::Make<wire::PeerProofT>()));
  fine = Save(folder, "peer_handshake", record) && fine;

  const auto save_text = [&](const std::string& target, const std::string& text) {
    return Save(folder, target, std::as_bytes(std::span(text)));
  };
  fine = save_text("control_record", "raylet1 node " + std::string(40, '1') + " 1 2 9:10.0.0.1:7 5:0.1.0") && fine;
  fine = save_text("redis_reply", "\4+OK\r\n$2\r\nab\r\n*2\r\n:1\r\n$-1\r\n-ERR no\r\n") && fine;

  // A connection, then a heartbeat and a message.
  record = {std::byte{0}, std::byte{1}, std::byte{0}, std::byte{0}};
  const Bytes heartbeat = Encode(samples::Make<wire::PeerHeartbeatT>());
  record.insert(record.end(), {std::byte{5}, std::byte{6}, static_cast<std::byte>(heartbeat.size()),
                               static_cast<std::byte>(heartbeat.size() >> 8)});
  record.insert(record.end(), heartbeat.begin(), heartbeat.end());
  record.insert(record.end(), {std::byte{5}, std::byte{20}, std::byte{0}, std::byte{0}});
  fine = Save(folder, "peer_session", record) && fine;

  // One good message of every type from each of two processes.
  record.clear();
  for (uint8_t type = 0; type < 32; ++type) {
    for (const uint8_t process : {0, 1}) {
      record.push_back(static_cast<std::byte>(process));
      record.push_back(static_cast<std::byte>(type));
    }
  }
  fine = Save(folder, "raylet_session", record) && fine;
  return Save(folder, "store_session", record) && fine;
}

}  // namespace
}  // namespace raylet

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_corpus FOLDER\n");
    return 2;
  }
  return raylet::SaveAll(argv[1]) ? 0 : 1;
}
