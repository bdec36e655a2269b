#include <dlfcn.h>

#include <csetjmp>
#include <cstdio>

// After <cstdio>, which it needs.
#include <jerror.h>
#include <jpeglib.h>

#include "base/error.h"
#include "ops/image_codecs.h"

namespace tenon::ops {
namespace {

// What is used of libjpeg: opened at first use, so that Tenon can be loaded where it is missing.
struct Library {
  decltype(&jpeg_std_error) std_error;
  decltype(&jpeg_CreateDecompress) create;
  decltype(&jpeg_mem_src) mem_src;
  decltype(&jpeg_read_header) read_header;
  decltype(&jpeg_start_decompress) start;
  decltype(&jpeg_read_scanlines) read_scanlines;
  decltype(&jpeg_finish_decompress) finish;
  decltype(&jpeg_destroy_decompress) destroy;
};

constexpr const char* kLibraryName = JPEG_LIB_VERSION >= 80 ? "libjpeg.so.8" : "libjpeg.so.62";

Library open_library() {
  void* handle = dlopen(kLibraryName, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    fail(ErrorCode::kUnsupported, "JPEG: decoding needs {}, which cannot be opened ({}); install libjpeg-turbo", kLibraryName, dlerror());
  }
  const auto find = [&]<class F>(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(handle, name));
    if (function == nullptr) fail(ErrorCode::kUnsupported, "JPEG: {} has no {}", kLibraryName, name);
  };
  Library library{};
  find(library.std_error, "jpeg_std_error");
  find(library.create, "jpeg_CreateDecompress");
  find(library.mem_src, "jpeg_mem_src");
  find(library.read_header, "jpeg_read_header");
  find(library.start, "jpeg_start_decompress");
  find(library.read_scanlines, "jpeg_read_scanlines");
  find(library.finish, "jpeg_finish_decompress");
  find(library.destroy, "jpeg_destroy_decompress");
  return library;
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

// The library reports errors by a jump out of its functions: everything that owns memory lives in the caller's Job.
struct Job {
  std::string_view bytes;
  JpegOptions options;
  bool header_only = false;
  Image image;
  std::vector<std::uint8_t> cmyk_row;
  std::string error;
  bool truncated = false;
  std::int64_t good_rows = 0;  // decoded before the file ended
};

struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf escape;
  Job* job;
};

void fail_and_jump(j_common_ptr info) {
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  char message[JMSG_LENGTH_MAX];
  (*info->err->format_message)(info, message);
  manager->job->error = message;
  std::longjmp(manager->escape, 1);
}

void note_warning(j_common_ptr info, int level) {
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  if (level >= 0 || manager->base.msg_code != JWRN_JPEG_EOF || manager->job->truncated) return;
  manager->job->truncated = true;
  if (info->is_decompressor) manager->job->good_rows = reinterpret_cast<j_decompress_ptr>(info)->output_scanline;
}

bool is_cmyk(const jpeg_decompress_struct& info) { return info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK; }

void set_parameters(jpeg_decompress_struct& info, const JpegOptions& options, int channels) {
  info.out_color_space = channels == 1 ? JCS_GRAYSCALE : is_cmyk(info) ? JCS_CMYK : JCS_RGB;
  info.do_fancy_upsampling = options.fancy_upscaling ? TRUE : FALSE;
  info.scale_num = 1;
  info.scale_denom = static_cast<unsigned>(options.ratio);
  info.dct_method = options.fast_transform ? JDCT_IFAST : JDCT_ISLOW;
}

// Inks to light; files of Adobe's programs store inks inverted.
void cmyk_to_rgb(const std::uint8_t* from, std::uint8_t* to, std::int64_t width, bool inverted) {
  for (std::int64_t i = 0; i < width; ++i, from += 4, to += 3) {
    for (int c = 0; c < 3; ++c) {
      to[c] = static_cast<std::uint8_t>(inverted ? from[3] * from[c] / 255 : (255 - from[3]) * (255 - from[c]) / 255);
    }
  }
}

void read_rows(jpeg_decompress_struct& info, Job& job) {
  Image& image = job.image;
  const std::int64_t row = image.width * image.channels;
  const bool cmyk = info.out_color_space == JCS_CMYK;
  if (cmyk) job.cmyk_row.resize(static_cast<std::size_t>(image.width) * 4);
  while (info.output_scanline < info.output_height) {
    std::uint8_t* to = image.narrow.data() + info.output_scanline * row;
    JSAMPROW target = cmyk ? job.cmyk_row.data() : to;
    library().read_scanlines(&info, &target, 1);
    if (cmyk) cmyk_to_rgb(job.cmyk_row.data(), to, image.width, info.saw_Adobe_marker);
  }
}

// Sizes and memory, outside of the region that is jumped out of; throws.
void prepare_image(Job& job, std::int64_t height, std::int64_t width, std::int64_t channels) {
  check_image_size(height, width, channels);
  job.image.height = height;
  job.image.width = width;
  job.image.channels = channels;
  if (!job.header_only) job.image.narrow.resize(static_cast<std::size_t>(job.image.size()));
}

// False when the library failed; job.error says why.
bool run(Job& job, jpeg_decompress_struct& info, ErrorManager& manager) {
  info.err = library().std_error(&manager.base);
  manager.base.error_exit = fail_and_jump;
  manager.base.emit_message = note_warning;
  manager.job = &job;
  if (setjmp(manager.escape) != 0) return false;
  library().create(&info, JPEG_LIB_VERSION, sizeof info);
  library().mem_src(&info, reinterpret_cast<const unsigned char*>(job.bytes.data()), job.bytes.size());
  library().read_header(&info, TRUE);
  const int own = info.num_components == 4 ? 3 : info.num_components;
  const int channels = job.options.channels == 0 ? own : job.options.channels;
  if (job.header_only) {
    prepare_image(job, info.image_height, info.image_width, info.num_components);
    return true;
  }
  set_parameters(info, job.options, channels);
  library().start(&info);
  prepare_image(job, info.output_height, info.output_width, channels);
  read_rows(info, job);
  if (!job.truncated) library().finish(&info);
  return true;
}

Image finish(Job& job) {
  library();  // its errors must not come where the cleaning up needs it
  jpeg_decompress_struct info{};
  ErrorManager manager{};
  bool good = false;
  try {
    good = run(job, info, manager);
  } catch (...) {
    library().destroy(&info);
    throw;
  }
  library().destroy(&info);
  if (!good) fail(ErrorCode::kInvalidArgument, "JPEG: {}", job.error);
  if (job.truncated && !job.header_only) {
    const auto needed = static_cast<double>(job.options.acceptable_fraction) * static_cast<double>(job.image.height);
    if (!job.options.try_recover_truncated || static_cast<double>(job.good_rows) < needed) {
      fail(ErrorCode::kInvalidArgument, "JPEG: the file ends after {} of {} rows", job.good_rows, job.image.height);
    }
  }
  return std::move(job.image);
}

}  // namespace

Image decode_jpeg(std::string_view bytes, const JpegOptions& options) {
  if (options.channels != 0 && options.channels != 1 && options.channels != 3) {
    fail(ErrorCode::kInvalidArgument, "JPEG: {} channels were asked for; 0, 1 and 3 are possible", options.channels);
  }
  if (options.ratio != 1 && options.ratio != 2 && options.ratio != 4 && options.ratio != 8) {
    fail(ErrorCode::kInvalidArgument, "JPEG: the ratio is {}; 1, 2, 4 and 8 are possible", options.ratio);
  }
  Job job;
  job.bytes = bytes;
  job.options = options;
  return finish(job);
}

Image read_jpeg_header(std::string_view bytes) {
  Job job;
  job.bytes = bytes;
  job.header_only = true;
  return finish(job);
}

}  // namespace tenon::ops
