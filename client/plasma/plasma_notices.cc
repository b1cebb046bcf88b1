// The methods of PlasmaClient for subscriptions.
#include <utility>

#include "base/strings.h"
#include "client/plasma/plasma_client_impl.h"
#include "fbs/object_notice.h"

namespace plasma {

using raylet::client::StatusOf;
using raylet::client::ToPublic;
using raylet::client::ToStatus;

Status PlasmaClient::Subscribe(int* fd) {
  if (fd == nullptr) return Status::Invalid("Subscribe needs a place for the socket, and was given none");
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  auto socket = (*store)->Subscribe();
  if (!socket) return ToStatus(socket.error());
  *fd = socket->Release();
  return Status::OK();
}

Status PlasmaClient::GetNotification(int fd, ObjectID* object_id, int64_t* data_size, int64_t* metadata_size) {
  if (object_id == nullptr || data_size == nullptr || metadata_size == nullptr)
    return Status::Invalid("GetNotification needs places for the id and both sizes");
  const auto connection = impl_->Connected();
  if (!connection) return ToStatus(connection.error());
  const auto notice = (*connection)->notices.Read(fd, [&] { return (*connection)->store->CheckUsable(); });
  if (!notice) return ToStatus(notice.error());
  *object_id = ToPublic(notice->id);
  *data_size = notice->data_bytes;
  *metadata_size = notice->metadata_bytes;
  return Status::OK();
}

Status PlasmaClient::DecodeNotifications(const uint8_t* buffer, std::vector<ObjectID>* object_ids,
                                         std::vector<int64_t>* data_sizes, std::vector<int64_t>* metadata_sizes) {
  if (buffer == nullptr || object_ids == nullptr || data_sizes == nullptr || metadata_sizes == nullptr)
    return Status::Invalid("DecodeNotifications needs a notice, and places for its ids and sizes");
  const auto notice = raylet::ParseNoticeAt(buffer);
  if (!notice) return ToStatus(notice.error());
  object_ids->assign(1, ToPublic(notice->id));
  data_sizes->assign(1, notice->data_bytes);
  metadata_sizes->assign(1, notice->metadata_bytes);
  return Status::OK();
}

}  // namespace plasma
