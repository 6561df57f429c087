//! What counts as a change, on a real folder.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::timeout;

use super::Watcher;
use crate::model::FileProvider;

/// Long enough for an event on a busy machine, and longer than a look.
const SOON: Duration = Duration::from_secs(20);
/// Long enough for an event that must not come, shorter than a look.
const A_WHILE: Duration = Duration::from_millis(600);

struct Site {
    folder: TempDir,
    watcher: Watcher,
}

impl Site {
    /// Watches `conf` below a new folder that `lay` fills.
    fn directory(lay: impl FnOnce(&Path)) -> Self {
        Self::new("conf", true, lay)
    }

    /// Watches the file `conf/a.yaml` below a new folder that `lay` fills.
    fn file(lay: impl FnOnce(&Path)) -> Self {
        Self::new("conf/a.yaml", false, lay)
    }

    fn new(path: &str, is_directory: bool, lay: impl FnOnce(&Path)) -> Self {
        let folder = TempDir::new().expect("a folder");
        lay(folder.path());
        let settings = FileProvider { path: folder.path().join(path), is_directory, watch: true };
        let mut watcher = Watcher::new(settings, Duration::ZERO);
        assert!(watcher.notify.is_some(), "inotify is there");
        // Looks are tested by themselves.
        watcher.follow();
        watcher.next_look += SOON * 2;
        Self { folder, watcher }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    async fn tells(&mut self) -> bool {
        timeout(SOON, self.watcher.changed()).await.is_ok()
    }

    async fn stays_silent(&mut self) -> bool {
        timeout(A_WHILE, self.watcher.changed()).await.is_err()
    }
}

/// `conf` with `a.yaml`.
fn plain(root: &Path) {
    fs::create_dir(root.join("conf")).expect("conf");
    fs::write(root.join("conf/a.yaml"), "{}").expect("a.yaml");
}

/// As Kubernetes mounts a ConfigMap: `conf/a.yaml` → `..data/a.yaml`, `..data` → `..1`.
fn kubernetes(root: &Path) {
    fs::create_dir_all(root.join("conf/..1")).expect("..1");
    fs::write(root.join("conf/..1/a.yaml"), "{}").expect("a.yaml");
    symlink("..1", root.join("conf/..data")).expect("..data");
    symlink("..data/a.yaml", root.join("conf/a.yaml")).expect("link");
}

fn swap_data(root: &Path) {
    fs::create_dir(root.join("conf/..2")).expect("..2");
    fs::write(root.join("conf/..2/a.yaml"), "tcp: {}").expect("a.yaml");
    symlink("..2", root.join("conf/..data_tmp")).expect("..data_tmp");
    fs::rename(root.join("conf/..data_tmp"), root.join("conf/..data")).expect("swapped");
}

/// One test each: a folder, what is done to it, whether that is told.
macro_rules! told {
    ($($name:ident: $site:ident($lay:expr), $change:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let mut site = Site::$site($lay);
                let change: fn(&Path) = $change;
                change(site.folder.path());
                assert!(site.tells().await);
            }
        )*
    };
}

macro_rules! not_told {
    ($($name:ident: $site:ident($lay:expr), $change:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let mut site = Site::$site($lay);
                let change: fn(&Path) = $change;
                change(site.folder.path());
                assert!(site.stays_silent().await);
            }
        )*
    };
}

told! {
    a_file_written_in_place: directory(plain), |root| {
        fs::write(root.join("conf/a.yaml"), "tcp: {}").expect("written");
    };
    a_file_replaced_by_rename: directory(plain), |root| {
        fs::write(root.join("conf/.a.yaml.new"), "tcp: {}").expect("written");
        fs::rename(root.join("conf/.a.yaml.new"), root.join("conf/a.yaml")).expect("renamed");
    };
    a_file_added: directory(plain), |root| {
        fs::write(root.join("conf/b.toml"), "").expect("written");
    };
    a_file_removed: directory(plain), |root| {
        fs::remove_file(root.join("conf/a.yaml")).expect("removed");
    };
    a_file_renamed_away: directory(plain), |root| {
        fs::rename(root.join("conf/a.yaml"), root.join("conf/a.off")).expect("renamed");
    };
    a_file_linked_in: directory(plain), |root| {
        fs::write(root.join("b"), "{}").expect("written");
        fs::hard_link(root.join("b"), root.join("conf/b.yaml")).expect("linked");
    };
    a_single_file_written: file(plain), |root| {
        fs::write(root.join("conf/a.yaml"), "tcp: {}").expect("written");
    };
    a_single_file_replaced: file(plain), |root| {
        fs::write(root.join("new"), "tcp: {}").expect("written");
        fs::rename(root.join("new"), root.join("conf/a.yaml")).expect("renamed");
    };
    a_single_file_that_appears: file(|root| fs::create_dir(root.join("conf")).expect("conf")), |root| {
        fs::write(root.join("conf/a.yaml"), "{}").expect("written");
    };
    a_folder_that_appears: directory(|_| ()), |root| plain(root);
    a_folder_replaced: directory(plain), |root| {
        fs::rename(root.join("conf"), root.join("old")).expect("renamed");
        plain(root);
    };
    a_config_map_swapped_under_a_folder: directory(kubernetes), |root| swap_data(root);
    a_config_map_swapped_under_a_file: file(kubernetes), |root| swap_data(root);
    the_target_of_a_link_written: file(|root| {
        fs::create_dir(root.join("conf")).expect("conf");
        fs::create_dir(root.join("real")).expect("real");
        fs::write(root.join("real/b.yaml"), "{}").expect("written");
        symlink("../real/b.yaml", root.join("conf/a.yaml")).expect("linked");
    }), |root| {
        fs::write(root.join("real/b.yaml"), "tcp: {}").expect("written");
    };
    a_linked_folder_swapped: directory(|root| {
        for release in ["1", "2"] {
            fs::create_dir(root.join(release)).expect("a release");
            fs::write(root.join(release).join("a.yaml"), "{}").expect("written");
        }
        symlink("1", root.join("conf")).expect("linked");
    }), |root| {
        symlink("2", root.join("conf.new")).expect("linked");
        fs::rename(root.join("conf.new"), root.join("conf")).expect("swapped");
    };
    a_file_made_readable: directory(plain), |root| {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(root.join("conf/a.yaml"), mode).expect("changed");
    };
}

not_told! {
    a_file_that_is_no_configuration: directory(plain), |root| {
        fs::write(root.join("conf/a.yaml.swp"), "x").expect("written");
        fs::write(root.join("conf/.b.yaml"), "x").expect("written");
        fs::write(root.join("conf/README"), "x").expect("written");
    };
    a_file_beside_the_single_one: file(plain), |root| {
        fs::write(root.join("conf/b.yaml"), "x").expect("written");
    };
    a_file_that_is_read: directory(plain), |root| {
        fs::read(root.join("conf/a.yaml")).expect("read");
    };
    a_file_beside_the_folder: directory(plain), |root| {
        fs::write(root.join("b.yaml"), "x").expect("written");
    };
    a_file_in_a_subfolder: directory(|root| {
        plain(root);
        fs::create_dir(root.join("conf/sub")).expect("sub");
    }), |root| {
        fs::write(root.join("conf/sub/b.yaml"), "x").expect("written");
    };
}

#[tokio::test]
async fn a_file_still_open_is_not_told_until_closed() {
    let mut site = Site::directory(plain);
    let mut file = File::options().append(true).open(site.path("conf/a.yaml")).expect("open");
    file.write_all(b"\n").expect("written");
    assert!(site.stays_silent().await);
    assert!(site.watcher.is_open(&site.path("conf/a.yaml")));
    drop(file);
    assert!(site.tells().await);
    assert!(!site.watcher.is_open(&site.path("conf/a.yaml")));
}

#[tokio::test]
async fn another_file_is_told_while_one_is_open() {
    let mut site = Site::directory(plain);
    let mut file = File::options().append(true).open(site.path("conf/a.yaml")).expect("open");
    file.write_all(b"\n").expect("written");
    fs::write(site.path("conf/b.yaml"), "{}").expect("written");
    assert!(site.tells().await);
    assert!(site.watcher.is_open(&site.path("conf/a.yaml")));
    assert!(!site.watcher.is_open(&site.path("conf/b.yaml")));
}

#[tokio::test]
async fn many_writes_are_told_together() {
    let mut site = Site::directory(plain);
    for n in 0..50 {
        fs::write(site.path(&format!("conf/{n}.yaml")), "{}").expect("written");
    }
    let mut times = 0;
    while !site.stays_silent().await {
        times += 1;
    }
    assert!((1..10).contains(&times), "told {times} times");
}

#[tokio::test]
async fn dropping_the_wait_loses_nothing() {
    let mut site = Site::directory(plain);
    fs::write(site.path("conf/a.yaml"), "tcp: {}").expect("written");
    let slice = Duration::from_millis(5);
    let told =
        timeout(SOON, async { while timeout(slice, site.watcher.changed()).await.is_err() {} });
    assert!(told.await.is_ok());
}

#[tokio::test]
async fn what_inotify_misses_is_found_by_looking() {
    let mut site = Site::directory(plain);
    site.watcher.notify = None;
    // Its thread may yet hand over half of what it sees: that a file was opened, not that it closed.
    site.watcher.events = tokio::sync::mpsc::unbounded_channel().1;
    site.watcher.next_look = super::now();
    fs::write(site.path("conf/a.yaml"), "tcp: {}").expect("written");
    assert!(site.tells().await);
}

#[tokio::test]
async fn the_throttle_spaces_what_is_told() {
    let mut site = Site::directory(plain);
    site.watcher.throttle = A_WHILE * 5;
    fs::write(site.path("conf/a.yaml"), "tcp: {}").expect("written");
    assert!(site.tells().await);
    fs::write(site.path("conf/a.yaml"), "udp: {}").expect("written");
    assert!(site.stays_silent().await);
    assert!(site.tells().await);
}
