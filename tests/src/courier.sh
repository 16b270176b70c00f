# Starts Courier in namespaces of its own, as the first process there. Its packages lie over /usr and /etc, which
# nobody outside sees. PACKAGES: where they are unpacked. HERE: this instance's files. USER, PASSWORD: who logs in.
set -e
mount -t tmpfs none /run
mkdir -p /run/courier/authdaemon /run/etc /run/work
mount -t overlay none -o "lowerdir=$PACKAGES/etc:/etc,upperdir=/run/etc,workdir=/run/work" /etc
mount -t overlay none -o "lowerdir=$PACKAGES/usr:/usr" /usr
# couriertls and the file watcher look their owners up.
cat >> /etc/passwd <<X
courier:x:5002:65534:Lab:/nonexistent:/usr/sbin/nologin
labmail:x:$MAIL_UID:$MAIL_UID:Lab:/tmp:/usr/sbin/nologin
X
cat "$HERE/key.pem" "$HERE/chain.pem" > /etc/courier/imapd.pem
chown courier /etc/courier/imapd.pem
chmod 600 /etc/courier/imapd.pem
cat > /etc/courier/authdaemonrc <<X
authmodulelist="authuserdb"
daemons=2
authdaemonvar=/run/courier/authdaemon
X
umask 077
printf '%s\timappw=%s|uid=%s|gid=%s|home=%s|mail=%s\n' "$USER" "$(printf %s "$PASSWORD" | openssl passwd -6 -stdin)" \
    "$MAIL_UID" "$MAIL_UID" "$HERE/mail/$USER" "$HERE/mail/$USER/Maildir" > /etc/courier/userdb
makeuserdb
unset PASSWORD
umask 022
/usr/lib/courier/courier-authlib/authdaemond &
export IMAP_CAPABILITY="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"
export IMAP_CAPABILITY_TLS="$IMAP_CAPABILITY AUTH=PLAIN"
export COURIERTLS=/usr/bin/couriertls TLS_CERTFILE=/etc/courier/imapd.pem TLS_VERIFYPEER=NONE
export IMAP_KEYWORDS=1 IMAP_ENHANCEDIDLE=1 IMAP_UMASK=022 IMAP_IDLE_TIMEOUT=60 IMAP_USELOCKS=1
listen() {
    /usr/sbin/couriertcpd -address=0 -maxprocs=80 -maxperip=40 -nodnslookup -noidentlookup "$@" \
        /usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir &
}
IMAP_STARTTLS=YES IMAP_TLS_REQUIRED=1 listen 143
IMAP_TLS=1 listen 993 /usr/bin/couriertls -server -tcpd -user=courier
wait
